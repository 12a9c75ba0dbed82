/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/page.h"

#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    FILE *terminal;
    SCREEN *screen;
};

struct page *page_open(void)
{
    struct page *page = calloc(1, sizeof *page);
    if (!page)
        return NULL;
    signal(SIGTTOU, SIG_IGN); /* under mpirun this process is in the background of its terminal */
    page->terminal = fopen("/dev/tty", "r+e");
    page->screen = page->terminal ? newterm(NULL, page->terminal, page->terminal) : NULL;
    if (!page->screen) {
        if (page->terminal)
            fclose(page->terminal);
        free(page);
        return NULL;
    }
    cbreak();
    noecho();
    curs_set(0);
    return page;
}

/* A line, of which control characters are not for the terminal. */
static void put_line(int row, const char *line, size_t n)
{
    move(row, 0);
    clrtoeol();
    for (size_t i = 0; i < n && (int)i < COLS - 1; i++)
        addch((unsigned char)line[i] < ' ' || line[i] == 127 ? '?' : (unsigned char)line[i]);
}

void page_draw(struct page *page, const char *text)
{
    int row = 0, hidden = 0;
    set_term(page->screen);
    erase();
    for (; *text; row++) {
        size_t n = strcspn(text, "\n");
        bool head = row < 2;
        if (row < LINES - 1) {
            if (head)
                attron(A_BOLD);
            put_line(row + (head ? 0 : 1), text, n);
            attroff(A_BOLD);
        } else {
            hidden++;
        }
        text += n + (text[n] == '\n');
    }
    if (hidden) {
        char more[40];
        int n = snprintf(more, sizeof more, "and %d more", hidden + 1);
        put_line(LINES - 1, more, (size_t)n);
    }
    refresh();
}

bool page_left(struct page *page, int ms)
{
    set_term(page->screen);
    timeout(ms);
    return getch() == 'q';
}

void page_close(struct page *page)
{
    if (!page)
        return;
    set_term(page->screen);
    endwin();
    delscreen(page->screen);
    fclose(page->terminal);
    free(page);
}
