/* bench/support/python.c - see python.h.
 * SPDX-License-Identifier: MIT */
#include "python.h"

#include "rounds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool
python_available(const char *script)
{
    if (access(script, R_OK) != 0)
        return complain("left out: Python's pools; %s isn't to be found from here", script);
    if (system("python3 -c 'import concurrent.futures, multiprocessing' >/dev/null 2>&1") != 0)
        return complain("left out: Python's pools; there is no python3 that has them");
    return true;
}

bool
python_ask(double *value, const char *script, const char *format, ...)
{
    char arguments[80], command[160], answer[64] = "", *end = answer;
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    snprintf(command, sizeof command, "exec python3 %s %s", script, arguments);
    FILE *output = popen(command, "r");
    if (output == NULL)
        return complain("can't start: %s", command);
    if (fgets(answer, sizeof answer, output) != NULL)
        *value = strtod(answer, &end);
    return (pclose(output) == 0 && end != answer) || complain("failed: %s", command);
}
