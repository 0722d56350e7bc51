/* bench/support/machine.c - see machine.h.
 * SPDX-License-Identifier: MIT */
#include "machine.h"

#include <cfutures.h>

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define AS_TEXT_(x) #x
#define AS_TEXT(x) AS_TEXT_(x)
#if defined(__clang__)
#define COMPILER "clang " AS_TEXT(__clang_major__) "." AS_TEXT(__clang_minor__) "." AS_TEXT(__clang_patchlevel__)
#else
#define COMPILER "gcc " AS_TEXT(__GNUC__) "." AS_TEXT(__GNUC_MINOR__) "." AS_TEXT(__GNUC_PATCHLEVEL__)
#endif

/* The processor's name, as x86 (and some others) give it in /proc/cpuinfo; else what kind it is. */
static void
name_processor(char *out, size_t size, const char *fallback)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");

    snprintf(out, size, "%s", fallback);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%.90s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    if (file != NULL)
        fclose(file);
}

machine
machine_describe(void)
{
    machine m = {.commit = BENCH_COMMIT, .cpus = (unsigned)cf_usable_cpus()};
    struct utsname name;
    time_t now = time(NULL);
    struct tm today;

    if (uname(&name) == 0) {
        name_processor(m.processor, sizeof m.processor, name.machine);
        snprintf(m.system, sizeof m.system, "%.20s %.40s %.20s", name.sysname, name.release, name.machine);
    }
    snprintf(m.compiler, sizeof m.compiler, "%s%s%.60s", COMPILER, *BENCH_FLAGS ? " " : "", BENCH_FLAGS);
    if (localtime_r(&now, &today) != NULL)
        strftime(m.date, sizeof m.date, "%Y-%m-%d", &today);
    return m;
}

void
machine_lines(const machine *m, char *ran_on, char *built_with, size_t size)
{
    snprintf(ran_on, size, "%s, %u CPU%s, %s", m->processor, m->cpus, plural(m->cpus), m->system);
    snprintf(built_with, size, "%s, cfutures %s, %s", m->compiler, m->commit, m->date);
}

const char *
plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

bool
terminal_has_utf8(void)
{
    return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
