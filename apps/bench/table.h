/* SPDX-License-Identifier: BSD-3-Clause */
/* What is printed: ours, a yardstick, their ratio, and the target. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>

enum { TABLE_ROWS = 80 };

struct row {
    const char *what, *unit, *yardstick_name; /* borrowed */
    double ours, yardstick, ratio, target;    /* target 0: none */
    bool at_least; /* ours is a time and the ratio yardstick / ours is to be at least the target; else ours / yardstick
                      at most */
};
struct table {
    struct row rows[TABLE_ROWS];
    int count;
};

/** Works out the ratio. A table that is full keeps what it has. */
void table_add(struct table *table, struct row row);
void table_print(const struct table *table);
void table_print_json(const struct table *table);

#endif
