/* SPDX-License-Identifier: BSD-3-Clause */
#include "checksum/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const char *reason(int32_t error)
{
    switch (error) {
    case OUTCOME_CHANGED:
        return "changed while it was read";
    case OUTCOME_LIBCRYPTO:
        return "libcrypto failed";
    case OUTCOME_NO_FILE:
        return "is no regular file any more";
    case OUTCOME_LOOP:
        return "is a directory that it is itself in; not gone into again";
    case OUTCOME_FOLDER:
        return "the working directory is not there";
    case OUTCOME_LOST:
        return "the process that read it has died";
    default:
        return strerror(error);
    }
}

static void begin_message(struct report *report)
{
    if (report->before_message)
        report->before_message(report->before_arg);
    fputs("checksum: ", report->err);
}

static void message(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void message(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    begin_message(report);
    vfprintf(report->err, format, arguments);
    va_end(arguments);
}

/* On one line, whatever is in it. */
static void put_name(FILE *stream, const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < ' ' || *name == 127)
            fprintf(stream, "\\%03o", (unsigned char)*name);
        else
            fputc(*name, stream);
}

static bool is_missing(int32_t error)
{
    return error == ENOENT || error == ENOTDIR;
}

static void count_unreadable(struct report *report, int32_t error)
{
    if (is_missing(error))
        report->missing++;
    else if (error == EACCES || error == EPERM)
        report->forbidden++;
    else if (error == OUTCOME_CHANGED)
        report->changing++;
    else
        report->other++;
}

/* "name: OK" */
static void put_verdict(struct report *report, const char *path, const char *verdict)
{
    if (report->options->status)
        return;
    if (strchr(path, '\n')) { /* as sha256sum: others are as they are, here */
        fputc('\\', report->out);
        line_write_name(report->out, path);
    } else {
        fputs(path, report->out);
    }
    fprintf(report->out, ": %s\n", verdict);
}

static void report_unreadable(struct report *report, const struct entry *entry, int32_t error, const char *host)
{
    bool missing = is_missing(error);
    if (entry->expected && missing && report->options->ignore_missing)
        return;
    count_unreadable(report, error);
    begin_message(report);
    put_name(report->err, entry->is_input ? "standard input" : entry->path);
    fprintf(report->err, ": %s%s%s%s\n", reason(error), host ? " (on host " : "", host ? host : "", host ? ")" : "");
    if (entry->expected)
        put_verdict(report, entry->path, missing && report->options->strict ? "MISSING" : "FAILED open or read");
}

void report_entry(struct report *report, const struct entry *entry, const struct outcome *outcome, const char *host)
{
    if (outcome->error == OUTCOME_OUTPUT) {
        begin_message(report);
        put_name(report->err, entry->path);
        fputs(": is what this program writes; left out\n", report->err);
    } else if (outcome->error) {
        report_unreadable(report, entry, outcome->error, host);
    } else {
        report->files++;
        report->bytes += outcome->size;
        if (!entry->expected) {
            line_write(report->out, &report->options->style, entry->algorithm, outcome->digest, entry->path);
        } else if (memcmp(entry->expected, outcome->digest, entry->algorithm->bytes) == 0) {
            report->matched++;
            if (!report->options->quiet)
                put_verdict(report, entry->path, "OK");
        } else {
            report->mismatched++;
            put_verdict(report, entry->path, "FAILED");
        }
    }
}

void report_extra(struct report *report, const char *path)
{
    report->extra++;
    put_verdict(report, path, "EXTRA");
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static int64_t unreadable(const struct report *report)
{
    return report->missing + report->forbidden + report->changing + report->other;
}

/* Why files could not be read, where there was more than one reason, or they were many. */
static void say_unreadable(struct report *report)
{
    const struct {
        int64_t n;
        const char *what;
    } kinds[] = {{report->missing, "not there"},
                 {report->forbidden, "not permitted"},
                 {report->changing, "changed meanwhile"},
                 {report->other, "other reasons"}};
    const char *separator = " (";
    int64_t n = unreadable(report);
    message(report, "WARNING: %lld %sfile%s could not be read", (long long)n,
            report->options->lists_n > 0 ? "listed " : "", plural(n));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].n > 0) {
            fprintf(report->err, "%s%lld %s", separator, (long long)kinds[i].n, kinds[i].what);
            separator = ", ";
        }
    fputs(")\n", report->err);
}

static void say_checked(struct report *report)
{
    int64_t n = report->mismatched;
    if (n > 0)
        message(report, "WARNING: %lld computed checksum%s did NOT match\n", (long long)n, plural(n));
    if (report->extra > 0)
        message(report, "WARNING: %lld file%s %s in no list\n", (long long)report->extra, plural(report->extra),
                report->extra == 1 ? "is" : "are");
    if (report->options->ignore_missing && report->matched + n == 0)
        message(report, "no file was verified\n");
}

/* Without --strict, as sha256sum. */
static bool all_well(const struct report *report)
{
    if (report->failed || unreadable(report) > 0 || report->mismatched > 0)
        return false;
    return report->options->lists_n == 0 || !report->options->ignore_missing || report->matched > 0;
}

int report_end(struct report *report, bool interrupted)
{
    const struct options *o = report->options;
    if (report->bad_lines > 0 && !o->status)
        message(report, "WARNING: %lld line%s %s improperly formatted\n", (long long)report->bad_lines,
                plural(report->bad_lines), report->bad_lines == 1 ? "is" : "are");
    if (unreadable(report) > 0 && !o->status)
        say_unreadable(report);
    if (o->lists_n > 0 && !o->status && !interrupted)
        say_checked(report);
    if (!o->strict)
        return all_well(report) ? 0 : EXIT_FAILED;
    int64_t unread = unreadable(report) - report->missing;
    bool unverified = o->ignore_missing && report->matched + report->mismatched == 0;
    return (report->failed || unread > 0 || report->bad_lines > 0 || unverified ? EXIT_FAILED : 0) +
           (report->missing > 0 ? EXIT_MISSING : 0) + (report->mismatched > 0 ? EXIT_CHANGED : 0) +
           (report->extra > 0 ? EXIT_EXTRA : 0);
}
