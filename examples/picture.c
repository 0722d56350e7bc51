/* examples/picture.c - draws a picture and filters it, row by row on all CPUs, in place in shared memory.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/picture.c -o picture
 *     ./picture >picture.ppm                  on processes; look at it with any viewer of pictures
 *     ./picture threads >picture.ppm          on threads: the same picture
 *     ./picture serial >picture.ppm           in the main thread: the same picture, later
 *
 * A corner of the Mandelbrot set, and then a filter that smooths its grain.  Memory from cf_executor_alloc() has one
 * address here and in every worker, so that the rows are plain pointers, and nothing is copied.  A row of the filter reads
 * those above and below it, so the filter starts when all are drawn: one cf_for after the other. */
#include <cfutures.h>

#include <stdio.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 640 };

typedef struct pixel {
    unsigned char red, green, blue;
} pixel;
typedef pixel row[WIDTH];

static void
draw_row(size_t y, row *picture)
{
    enum { DEEPEST = 1000 };
    for (int x = 0; x < WIDTH; x++) {
        double cr = -0.7463 + 0.0060 * x / WIDTH, ci = 0.1122 - 0.0040 * (double)y / HEIGHT, r = 0, i = 0;
        int depth = 0;
        for (; depth < DEEPEST && r * r + i * i < 4; depth++) {
            double next = r * r - i * i + cr;
            i = 2 * r * i + ci;
            r = next;
        }
        double t = (double)depth / DEEPEST, u = 1 - t; /* 0 far outside, 1 inside */
        picture[y][x].red = (unsigned char)(255 * 9.0 * u * t * t * t);
        picture[y][x].green = (unsigned char)(255 * 15.0 * u * u * t * t);
        picture[y][x].blue = (unsigned char)(255 * 8.5 * u * u * u * t);
    }
}
CF_TASK_VOID(draw_row, size_t, row *);

/* Each pixel becomes the mean of those around it. */
static void
smooth_row(size_t y, row *from, row *to)
{
    for (int x = 0; x < WIDTH; x++) {
        unsigned red = 0, green = 0, blue = 0, count = 0;
        for (size_t j = y > 0 ? y - 1 : y; j <= y + 1 && j < HEIGHT; j++)
            for (int i = x > 0 ? x - 1 : x; i <= x + 1 && i < WIDTH; i++, count++) {
                red += from[j][i].red;
                green += from[j][i].green;
                blue += from[j][i].blue;
            }
        to[y][x].red = (unsigned char)(red / count);
        to[y][x].green = (unsigned char)(green / count);
        to[y][x].blue = (unsigned char)(blue / count);
    }
}
CF_TASK_VOID(smooth_row, size_t, row *, row *);

int
main(int argc, char **argv)
{
    const char *on = argc > 1 ? argv[1] : "processes";
    cf_auto(cf_executor) pool = strcmp(on, "serial") == 0    ? cf_inline_executor()
                                : strcmp(on, "threads") == 0 ? cf_thread_pool()
                                                             : cf_process_pool();
    row *drawn = cf_executor_alloc(pool, HEIGHT * sizeof *drawn);
    row *smooth = cf_executor_alloc(pool, HEIGHT * sizeof *smooth);

    cf_err error = drawn != NULL && smooth != NULL ? CF_OK : CF_ERR_NOMEM;
    if (error == CF_OK)
        error = cf_for(pool, draw_row, 0, HEIGHT, drawn);
    if (error == CF_OK)
        error = cf_for(pool, smooth_row, 0, HEIGHT, drawn, smooth);
    if (error == CF_OK) {
        printf("P6\n%d %d\n255\n", WIDTH, HEIGHT);
        fwrite(smooth, sizeof *smooth, HEIGHT, stdout);
    } else {
        fprintf(stderr, "%s: %s\n", argv[0], cf_strerror(error));
    }
    cf_executor_free(pool, smooth);
    cf_executor_free(pool, drawn);
    return error == CF_OK && fflush(stdout) == 0 ? 0 : 1;
}
