/* bench/support/options.c - see options.h.
 * SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, MAX_OPTIONS = 24 };

typedef struct command_line {
    const char *program, *about;
    option_spec specs[MAX_OPTIONS];
    size_t count;
    int argc, at;
    char **argv;
} command_line;

static _Noreturn void __attribute__((format(printf, 2, 3)))
usage_error(const command_line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", line->program);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (try %s --help)\n", line->program);
    va_end(arguments);
    exit(EXIT_USAGE);
}

static _Noreturn void
print_help(const command_line *line)
{
    printf("usage: %s [options]\n\n%s\n\n", line->program, line->about);
    for (size_t i = 0; i < line->count; i++) {
        const option_spec *o = &line->specs[i];
        char left[64], argument[32] = "";
        if (o->argument != NULL)
            snprintf(argument, sizeof argument, o->file_is_optional ? " [%s]" : " %s", o->argument);
        if (o->letter != 0 && o->name != NULL)
            snprintf(left, sizeof left, "-%c, --%s%s", o->letter, o->name, argument);
        else if (o->name != NULL)
            snprintf(left, sizeof left, "    --%s%s", o->name, argument);
        else
            snprintf(left, sizeof left, "-%c%s", o->letter, argument);
        printf("  %-24s %s\n", left, o->help);
    }
    printf("  %-24s %s\n", "-h, --help", "print this and end");
    exit(0);
}

static long
parse_number(const command_line *line, const option_spec *o, const char *shown, const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        usage_error(line, "%s needs a whole number, not \"%s\"", shown, text);
    if (errno == ERANGE || value < o->min || value > o->max)
        usage_error(line, "%s must be between %ld and %ld, not %s", shown, o->min, o->max, text);
    return value;
}

/* The option that `text` names.  Writes how it was written to `shown`, and to `*value` what follows it in
 * the same word: --json=FILE, -n38; NULL if nothing does. */
static const option_spec *
find_option(const command_line *line, char *text, char shown[32], char **value)
{
    bool is_long = text[0] == '-' && text[1] == '-' && text[2] != '\0';
    bool is_short = text[0] == '-' && text[1] != '-' && text[1] != '\0';
    size_t length = is_long ? strcspn(text, "=") : 2;

    if (is_long || is_short) {
        for (size_t i = 0; i < line->count; i++) {
            const option_spec *o = &line->specs[i];
            if (is_long
                    ? o->name == NULL || strlen(o->name) != length - 2 || strncmp(o->name, text + 2, length - 2) != 0
                    : o->letter != text[1])
                continue;
            snprintf(shown, 32, "%.*s", (int)length, text);
            *value = text[length] == '\0' ? NULL : is_long ? text + length + 1 : text + length;
            return o;
        }
        usage_error(line, "there is no option %.*s", (int)length, text);
    }
    usage_error(line, "unexpected argument \"%s\"", text);
}

static void
parse_option(command_line *line)
{
    char *text = line->argv[line->at++], *value = NULL, shown[32];
    const option_spec *o = find_option(line, text, shown, &value);

    if (o->flag != NULL) {
        if (value != NULL)
            usage_error(line, "%s takes no value", shown);
        *o->flag = true;
        return;
    }
    if (value == NULL && line->at < line->argc) {
        /* An optional file name doesn't swallow the option after it. */
        char *next = line->argv[line->at];
        if (!o->file_is_optional || next[0] != '-' || next[1] == '\0') {
            value = next;
            line->at++;
        }
    }
    if (value == NULL && !o->file_is_optional)
        usage_error(line, "%s needs %s after it", shown, o->number != NULL ? "a number" : "a file name");
    if (value != NULL && *value == '\0')
        usage_error(line, "%s has an empty value", shown);
    if (o->number != NULL)
        *o->number = parse_number(line, o, shown, value);
    else
        *o->file = value != NULL ? value : "-";
}

void
options_parse(int argc, char **argv, const char *about, const option_spec *own, size_t count, bench_options *common)
{
    const option_spec shared[] = {
        {.letter = 'r',
         .name = "repeats",
         .number = &common->repeats,
         .min = 1,
         .max = 1000,
         .argument = "R",
         .help = "counted rounds, after one that warms up"},
        {.name = "quick",
         .flag = &common->quick,
         .help = "a few seconds instead of a measurement: small work, 3 rounds"},
        {.name = "json",
         .file = &common->json,
         .file_is_optional = true,
         .argument = "FILE",
         .help = "one JSON line for each row, to FILE or stdout (the table then goes to stderr)"},
        {.name = "svg", .file = &common->svg, .argument = "FILE", .help = "the plot, to FILE"},
    };
    size_t shared_count = sizeof shared / sizeof *shared;
    const char *slash = strrchr(argv[0], '/');
    command_line line = {
        .program = slash != NULL ? slash + 1 : argv[0], .about = about, .argc = argc, .argv = argv, .at = 1};

    if (count + shared_count > MAX_OPTIONS) {
        fprintf(stderr, "raise MAX_OPTIONS\n");
        exit(1);
    }
    memcpy(line.specs, own, count * sizeof *own);
    memcpy(line.specs + count, shared, sizeof shared);
    line.count = count + shared_count;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            print_help(&line);
    while (line.at < argc)
        parse_option(&line);
    if (common->json != NULL && common->svg != NULL && strcmp(common->json, "-") == 0 && strcmp(common->svg, "-") == 0)
        usage_error(&line, "only one of --json and --svg can go to stdout");
}

FILE *
output_open(const char *name)
{
    if (name == NULL)
        return NULL;
    if (strcmp(name, "-") == 0)
        return stdout;
    FILE *file = fopen(name, "w");
    if (file == NULL) {
        fprintf(stderr, "can't write %s: %s\n", name, strerror(errno));
        exit(EXIT_USAGE);
    }
    return file;
}

bool
output_close(FILE *file, const char *name)
{
    if (file == NULL)
        return true;
    bool ok = !ferror(file) && fflush(file) == 0;
    if (file != stdout)
        ok = fclose(file) == 0 && ok;
    if (!ok)
        fprintf(stderr, "can't write all of %s\n", name);
    return ok;
}
