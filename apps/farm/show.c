/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/show.h"

#include <stdio.h>
#include <string.h>

#include "farm/options.h"
#include "farm/record.h"
#include "farm/report.h"

static const char usage[] = "usage: farm show [--list] [--failed] JOURNAL [TEXT]\n"
                            "What the commands of a journal have said, in the order in which they ended: stdout's on "
                            "stdout, stderr's on stderr.\n"
                            "  --list    rather how each ended, on a line\n"
                            "  --failed  of those that failed alone\n"
                            "  TEXT      of those alone that contain it\n";

struct showing {
    bool list, failed;
    const char *text;
    int64_t shown;
};

static void show_one(void *arg, const char *text, const struct record_end *end, const char *streams[2],
                     const int64_t bytes[2])
{
    struct showing *s = arg;
    char how[96];
    const struct child_outcome *o = &end->outcome;
    bool well = o->end == CHILD_ENDED && o->code == 0 && o->signal == 0;
    if ((s->failed && well) || (s->text && !strstr(text, s->text)))
        return;
    s->shown++;
    if (s->list) {
        printf("%s\t%s\t%.3f s\t%d attempt%s\t%s\n", well ? "done" : report_outcome(o, how, sizeof how), end->host,
               o->seconds, end->attempts, end->attempts == 1 ? "" : "s", text);
        return;
    }
    fwrite(streams[0], 1, (size_t)bytes[0], stdout);
    fwrite(streams[1], 1, (size_t)bytes[1], stderr);
}

int show_journal(int n, char **words)
{
    struct showing s = {0};
    int i = 0;
    for (; i < n && words[i][0] == '-'; i++) {
        s.list |= strcmp(words[i], "--list") == 0;
        s.failed |= strcmp(words[i], "--failed") == 0;
        if (strcmp(words[i], "--list") && strcmp(words[i], "--failed"))
            break;
    }
    if (n - i < 1 || n - i > 2 || words[i][0] == '-') {
        fputs(usage, stderr);
        return FARM_EXIT_BAD;
    }
    s.text = words[i + 1];
    if (record_show(words[i], show_one, &s) != MUSTER_OK) {
        fprintf(stderr, "farm: %s\n", muster_err_detail());
        return FARM_EXIT_BAD;
    }
    return fflush(stdout) == 0 && s.shown > 0 ? 0 : 1;
}
