/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The live page: a status, drawn over itself on a terminal.
 */
#ifndef FARM_PAGE_H
#define FARM_PAGE_H

#include <stdbool.h>

struct page;

/** Takes the terminal that this job was started from, also by mpirun. NULL: there is none. */
struct page *page_open(void);

/** Draws it: the first two lines on top, of the others as many as there is room for. */
void page_draw(struct page *page, const char *text);

/** Whether somebody has pressed q since; waits up to ms for that. */
bool page_left(struct page *page, int ms);

/** Gives the terminal back as it was. NULL is fine. */
void page_close(struct page *page);

#endif
