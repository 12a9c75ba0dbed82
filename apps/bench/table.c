/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, struct row row)
{
    row.ratio = row.yardstick != 0 ? row.ours / row.yardstick : 0;
    if (row.at_least && row.ratio != 0)
        row.ratio = 1 / row.ratio;
    if (table->count < TABLE_ROWS)
        table->rows[table->count++] = row;
}

static bool met(const struct row *row)
{
    return row->at_least ? row->ratio >= row->target : row->ratio <= row->target;
}

void table_print(const struct table *t)
{
    printf("%-46s %10s %-6s %-24s %10s %8s %8s\n", "what", "ours", "", "yardstick", "", "ratio", "target");
    for (int i = 0; i < t->count; i++) {
        const struct row *r = &t->rows[i];
        printf("%-46s %10.4g %-6s %-24s %10.4g %8.3g ", r->what, r->ours, r->unit, r->yardstick_name, r->yardstick,
               r->ratio);
        if (r->target > 0)
            printf("%s%7.3g %s\n", r->at_least ? ">" : "<", r->target, met(r) ? "" : "MISSED");
        else
            printf("\n");
    }
}

void table_print_json(const struct table *t)
{
    cJSON *all = cJSON_CreateArray();
    for (int i = 0; i < t->count; i++) {
        const struct row *r = &t->rows[i];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "what", r->what + strspn(r->what, " "));
        cJSON_AddStringToObject(row, "unit", r->unit);
        cJSON_AddNumberToObject(row, "ours", r->ours);
        cJSON_AddStringToObject(row, "yardstick", r->yardstick_name);
        cJSON_AddNumberToObject(row, "yardstick_value", r->yardstick);
        cJSON_AddNumberToObject(row, "ratio", r->ratio);
        if (r->target > 0) {
            cJSON_AddNumberToObject(row, "target", r->target);
            cJSON_AddStringToObject(row, "target_is", r->at_least ? "at least" : "at most");
            cJSON_AddBoolToObject(row, "met", met(r));
        }
        cJSON_AddItemToArray(all, row);
    }
    char *text = cJSON_Print(all);
    puts(text);
    free(text);
    cJSON_Delete(all);
}
