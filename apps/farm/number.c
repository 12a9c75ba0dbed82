/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int number_seconds(const char *text, double *seconds)
{
    static const char units[] = "smhd";
    static const double in_seconds[] = {1, 60, 3600, 86400};
    double sum = 0;
    if (!*text)
        return -1;
    while (*text) {
        char *end;
        double value = strtod(text, &end);
        const char *unit = *end ? strchr(units, *end) : units;
        if (end == text || !unit || !isfinite(value) || value < 0)
            return -1;
        sum += value * in_seconds[unit - units];
        text = end + (*end != '\0');
    }
    *seconds = sum;
    return 0;
}

int number_bytes(const char *text, int64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value) || value < 0)
        return -1;
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    if (*end && (!unit || !*unit))
        return -1;
    for (int i = 0; unit && i <= unit - units; i++)
        value *= 1024;
    end += *end != '\0';
    if (strcmp(end, "") && strcmp(end, "B") && strcmp(end, "iB"))
        return -1;
    if (value >= 9e18)
        return -1;
    *bytes = (int64_t)value;
    return 0;
}

int number_whole(const char *text, long least, long most, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        return -1;
    *number = (int)value;
    return 0;
}
