/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/status.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "farm/page.h"
#include "farm/run.h"

#define SHOWN 200 /* running commands at most */

static const char *folder(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    return runtime && *runtime && access(runtime, W_OK) == 0 ? runtime : "/tmp";
}

static void file_name(char *name, size_t size, long pid)
{
    snprintf(name, size, "farm-%u-%ld.status", (unsigned)getuid(), pid);
}

/* The pid in the name of one of this user's files here; 0: it is none. */
static long pid_of(const char *name)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "farm-%u-", (unsigned)getuid());
    return strncmp(name, prefix, strlen(prefix)) ? 0 : strtol(name + strlen(prefix), NULL, 10);
}

/* Those of farms that were killed say nothing true. */
static void remove_dead(void)
{
    char path[4096];
    DIR *dir = opendir(folder());
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        long pid = pid_of(entry->d_name);
        snprintf(path, sizeof path, "%s/%.255s", folder(), entry->d_name);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

char *status_path(void)
{
    char name[64], *path;
    remove_dead();
    file_name(name, sizeof name, (long)getpid());
    return asprintf(&path, "%s/%s", folder(), name) < 0 ? NULL : path;
}

static void write_running(const struct farm *f, FILE *file)
{
    double now = progress_clock();
    int shown = 0;
    for (int i = 0; i < f->n_jobs; i++) {
        const struct job *job = &f->jobs[i];
        char since[32];
        if (!job->command || !job->is_placed || shown++ >= SHOWN)
            continue;
        fprintf(file, "running %lld on %s worker %d for %s attempt %d: %.200s\n", (long long)job->command->seq,
                job->place.host, job->place.worker, progress_duration(now - job->began, since, sizeof since),
                job->attempt, job->command->text);
    }
    if (shown > SHOWN)
        fprintf(file, "and %d more\n", shown - SHOWN);
}

char *status_text(const struct farm *f)
{
    const struct report_counts *c = report_counts(f->report);
    char time_text[64], since[32], total[32] = "an unknown number", *text = NULL;
    size_t size;
    time_t now = time(NULL);
    struct tm local;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return NULL;
    strftime(time_text, sizeof time_text, "%F %T", localtime_r(&now, &local));
    if (c->total >= 0)
        snprintf(total, sizeof total, "%lld", (long long)c->total);
    fprintf(file, "farm, pid %ld on %s, at %s, for %s\n", (long)getpid(), muster_host(), time_text,
            progress_duration(progress_clock() - f->progress.begin, since, sizeof since));
    fprintf(file, "%lld done, %lld failed, %d handed out, of %s; %lld of an earlier run; workers: %d%s%s\n",
            (long long)c->done, (long long)c->failed, f->in_flight, total, (long long)c->known, f->workers,
            f->stopping ? "; " : "", f->stopping ? f->why_stopped : "");
    write_running(f, file);
    return fclose(file) == 0 ? text : NULL;
}

/* Where it cannot be written a farm does without. */
void status_write(const char *text, const char *path)
{
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (!file)
        return;
    bool written = fputs(text, file) >= 0;
    if (fclose(file) != 0 || !written || rename(temporary, path) != 0)
        unlink(temporary);
}

void status_remove(const char *path)
{
    unlink(path);
}

static int show_file(const char *path)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "farm: no status in %s: %s\n", path, strerror(errno));
        return 1;
    }
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        fwrite(piece, 1, n, stdout);
    fclose(file);
    return 0;
}

static int show_all(void)
{
    char path[4096];
    int shown = 0;
    remove_dead();
    DIR *dir = opendir(folder());
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (pid_of(entry->d_name) <= 0 || strstr(entry->d_name, ".tmp"))
            continue;
        snprintf(path, sizeof path, "%s/%.255s", folder(), entry->d_name);
        shown += show_file(path) == 0;
    }
    if (dir)
        closedir(dir);
    if (!shown)
        fprintf(stderr, "farm: no farm of yours tells of itself on this host\n");
    return shown ? 0 : 1;
}

/* Until the file goes, which it does with the farm. */
static int watch(const char *path)
{
    struct page *page = page_open();
    char text[65536];
    if (!page) {
        fprintf(stderr, "farm: --live needs a terminal\n");
        return 1;
    }
    for (FILE *file; (file = fopen(path, "re"));) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        page_draw(page, text);
        if (page_left(page, 1000))
            break;
    }
    page_close(page);
    return 0;
}

/* The one farm of this user that lives here. */
static bool find_one(char *path, size_t size)
{
    bool found = false;
    remove_dead();
    DIR *dir = opendir(folder());
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        found = pid_of(entry->d_name) > 0 && !strstr(entry->d_name, ".tmp");
        if (found)
            snprintf(path, size, "%s/%.255s", folder(), entry->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

int status_show(const char *which, bool live)
{
    char name[64], path[4096], *end;
    long pid = which ? strtol(which, &end, 10) : 0;
    if (!which && (!live || !find_one(path, sizeof path)))
        return show_all();
    if (which && !*end && pid > 0) {
        file_name(name, sizeof name, pid);
        snprintf(path, sizeof path, "%s/%s", folder(), name);
    } else if (which) {
        snprintf(path, sizeof path, "%s", which);
    }
    return live ? watch(path) : show_file(path);
}
