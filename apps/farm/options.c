/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm/options.h"

#include <argp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <muster/runtime.h>

#include "farm/number.h"

static const char arguments[] = "[COMMANDS.txt]\n"
                                "COMMAND [{}...] ::: INPUT... [::: INPUT...] [:::: FILE...]\n"
                                "COMMAND [{}...] < inputs";

static const char doc[] =
    "Runs many commands over the ranks of a job: those of a file or of standard input, a line each, or one that is "
    "made "
    "of inputs as GNU parallel makes it."
    "\v"
    "farm status [--live] [FILE|PID] tells of a running farm; farm show JOURNAL what the commands of a journal said.\n"
    "\n"
    "  mpirun -np 16 farm commands.txt\n"
    "  mpirun -np 16 farm -k --tag gzip -9 {} ::: *.log\n"
    "  find . -name '*.ppm' | srun farm --retries 3 --joblog log convert {} {.}.png\n"
    "  srun farm --journal farm.journal --timeout 2h commands.txt    # the same line again goes on\n"
    "\n"
    "Exit status: 0 all went well; 1 to 100 so many commands failed; 101 more did; 255 bad options or input, or the "
    "farm "
    "itself failed; 130, 143, 75 after SIGINT, SIGTERM, SIGUSR1 (run the same line again to go on).";

enum {
    LINE_BUFFER = 256,
    TAG,
    JOBLOG,
    RESULTS,
    JOURNAL,
    STATUS,
    RESUME,
    RESUME_FAILED,
    ANEW,
    RETRIES,
    TIMEOUT,
    MEMORY,
    MEMFREE,
    LOAD,
    CORES,
    GPUS,
    HALT,
    ON_STOP,
    SHELL,
    ENV,
    DRY_RUN,
    QUIET,
    LIVE,
    HEADER,
    LINK,
    TRIM,
    HELP,
    VERSION
};

static const struct argp_option known[] = {
    {NULL, 0, NULL, 0, "What to run:", 1},
    {"arg-file", 'a', "FILE", 0, "inputs are the lines of FILE", 1},
    {"delimiter", 'd', "CHAR", 0, "inputs end with CHAR rather than a newline", 1},
    {"null", '0', NULL, 0, "inputs end with a NUL", 1},
    {"max-args", 'n', "N", 0, "N inputs a command; 0: none of one", 1},
    {"max-replace-args", 'N', "N", 0, "the same, as {1} to {N}", 1},
    {"context", 'X', NULL, 0, "as many inputs a command as its line holds, the word with {} repeated", 1},
    {"xargs", 'm', NULL, 0, "as many as its line holds, in place of {}", 1},
    {"replace", 'I', "TEXT", 0, "TEXT stands for the input, rather than {}", 1},
    {"colsep", 'C', "REGEX", 0, "splits an input into {1}, {2} ...", 1},
    {"header", HEADER, "REGEX", 0, "the first line names the columns, as {name}; --header=: where each is one", 1},
    {"link", LINK, NULL, 0, "of several lists take the first of each, then the second ...", 1},
    {"xapply", LINK, NULL, OPTION_ALIAS, NULL, 1},
    {"eof", 'E', "TEXT", 0, "inputs end at this line", 1},
    {"quote", 'q', NULL, 0, "quotes the command's own words", 1},
    {"trim", TRIM, "l|r|lr|n", 0, "blanks around inputs go", 1},
    {"no-run-if-empty", 'r', NULL, 0, "not for empty inputs", 1},
    {"max-chars", 's', "N", 0, "at most N bytes a command", 1},
    {NULL, 0, NULL, 0, "Where and when:", 2},
    {"jobs", 'j', "N", 0, "N commands at a time on each host (one a rank)", 2},
    {"cores", CORES, "N", 0, "each command gets N cores, and OMP_NUM_THREADS=N", 2},
    {"gpus", GPUS, "N", 0, "each command gets N GPUs, named in CUDA_VISIBLE_DEVICES and its kin", 2},
    {"load", LOAD, "X", 0, "begin none on a host whose load is higher", 2},
    {"memfree", MEMFREE, "SIZE", 0, "nor where less memory is free", 2},
    {"workdir", 'w', "DIR", 0, "where commands run (here)", 2},
    {"wd", 'w', NULL, OPTION_ALIAS, NULL, 2},
    {"env", ENV, "NAME[=VALUE]", 0, "a variable for commands on all hosts", 2},
    {"shell", SHELL, "PATH", 0, "runs commands that need one (/bin/sh)", 2},
    {NULL, 0, NULL, 0, "Failures and limits:", 3},
    {"retries", RETRIES, "N", 0, "each command is tried up to N times", 3},
    {"timeout", TIMEOUT, "T", 0, "of a command: seconds, 5m, 2h, or 200% of what others take", 3},
    {"memory", MEMORY, "SIZE", 0, "of all processes of a command", 3},
    {"halt", HALT, "WHEN", 0, "never, or now or soon, then fail, success or done, then =N or =N%: now,fail=1", 3},
    {"on-stop", ON_STOP, "drop|finish", 0, "what becomes of running commands after a signal (drop)", 3},
    {NULL, 0, NULL, 0, "Output:", 4},
    {"keep-order", 'k', NULL, 0, "in the order of the input", 4},
    {"line-buffer", LINE_BUFFER, NULL, 0, "lines as they come, not each command's together", 4},
    {"linebuffer", LINE_BUFFER, NULL, OPTION_ALIAS, NULL, 4},
    {"lb", LINE_BUFFER, NULL, OPTION_ALIAS, NULL, 4},
    {"tag", TAG, NULL, 0, "each line begins with the command's inputs", 4},
    {"joblog", JOBLOG, "FILE", 0, "a line a try, in GNU parallel's format", 4},
    {"results", RESULTS, "DIR", 0, "also into DIR/1/INPUT/.../attempt-1/stdout, stderr", 4},
    {"status", STATUS, "FILE", 0, "where farm status looks", 4},
    {"live", LIVE, NULL, 0, "a page on the terminal: what runs where; for output that goes elsewhere", 4},
    {"quiet", QUIET, NULL, 0, "no progress line", 4},
    {"dry-run", DRY_RUN, NULL, 0, "print the commands", 4},
    {NULL, 0, NULL, 0, "The same line again:", 5},
    {"journal", JOURNAL, "FILE", 0, "records what ended, and what it said; goes on where FILE is there", 5},
    {"resume", RESUME, NULL, 0, "the same, in farm.journal", 5},
    {"resume-failed", RESUME_FAILED, NULL, 0, "and those that failed are run again", 5},
    {"anew", ANEW, NULL, 0, "forget what is in the journal", 5},
    {"help", HELP, NULL, 0, "this text", -1},
    {"version", VERSION, NULL, 0, "version", -1},
    {0},
};

static error_t bad(struct argp_state *state, const char *option, const char *value, const char *allowed)
{
    argp_failure(state, FARM_EXIT_BAD, 0, "--%s '%s': allowed is %s", option, value, allowed);
    return EINVAL;
}

static error_t parse_timeout(struct argp_state *state, const char *text, struct options *o)
{
    size_t n = strlen(text);
    char *end;
    if (n && text[n - 1] == '%') {
        o->timeout_percent = strtod(text, &end);
        return *end == '%' && o->timeout_percent > 100 ? 0 : bad(state, "timeout", text, "more than 100%");
    }
    return number_seconds(text, &o->timeout_s) == 0 && o->timeout_s > 0
               ? 0
               : bad(state, "timeout", text, "a time: 90, 5m, 2h, 1d, or 200%");
}

/* Neither exits: rank 0 has muster to end. */
static error_t help_or_version(int key, struct argp_state *state, struct options *o)
{
    if (key == HELP)
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK);
    else
        puts("farm " MUSTER_VERSION);
    o->done = true;
    return 0;
}

static int add_environment(struct options *o, const char *text)
{
    const char **more = realloc(o->environment, (size_t)(o->n_environment + 1) * sizeof *more);
    if (!more)
        return ENOMEM;
    o->environment = more;
    more[o->n_environment++] = text;
    return 0;
}

static error_t whole(struct argp_state *state, const char *option, const char *text, long most, int *number)
{
    return number_whole(text, 1, most, number) == 0 ? 0 : bad(state, option, text, "a whole number from 1 on");
}

static error_t size(struct argp_state *state, const char *option, const char *text, int64_t *bytes)
{
    return number_bytes(text, bytes) == 0 && *bytes > 0 ? 0 : bad(state, option, text, "a size: 4096, 64K, 1.5G");
}

/* Of one character, or an escape of one. */
static error_t delimiter(struct argp_state *state, const char *text, char *is)
{
    static const char escapes[] = "n\nt\t0\0r\r\\\\";
    *is = text[0];
    if (text[0] == '\\' && text[1] && !text[2])
        for (const char *e = escapes; e < escapes + sizeof escapes - 1; e += 2)
            if (*e == text[1]) {
                *is = e[1];
                return 0;
            }
    return text[0] && !text[1] ? 0 : bad(state, "delimiter", text, "one character, or \\n \\t \\0 \\r");
}

static error_t parse_input(int key, char *text, struct argp_state *state, struct options *o)
{
    struct lines_options *l = &o->lines;
    int number = 0;
    switch (key) {
    case 'a':
        l->arg_file = text;
        return 0;
    case 'd':
        return delimiter(state, text, &l->delimiter);
    case '0':
        l->delimiter = '\0';
        return 0;
    case 'n':
    case 'N':
        if (number_whole(text, 0, 1000000, &number) != 0)
            return bad(state, "max-args", text, "a whole number");
        l->max_args = number ? number : LINES_NO_ARGS;
        l->context |= key == 'N'; /* as GNU parallel has it */
        return 0;
    case 'X':
        l->context = true;
        return 0;
    case 'm':
        l->xargs = true;
        return 0;
    case 'I':
        l->replace = text;
        return 0;
    case 'C':
        l->colsep = text;
        return 0;
    case HEADER:
        l->header = text;
        return 0;
    case LINK:
        l->link = true;
        return 0;
    case 'E':
        l->end = text;
        return 0;
    case 'q':
        l->quote = true;
        return 0;
    case TRIM:
        l->trim_l = strchr(text, 'l');
        l->trim_r = strchr(text, 'r');
        l->no_trim = strchr(text, 'n');
        return strspn(text, "lrn") == strlen(text) ? 0 : bad(state, "trim", text, "l, r, lr or n");
    case 'r':
        l->no_run_if_empty = true;
        return 0;
    case 's':
        if (whole(state, "max-chars", text, 100000000, &number) == 0)
            l->max_chars = number;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_output(int key, char *text, struct options *o)
{
    switch (key) {
    case 'k':
        o->keep_order = true;
        return 0;
    case LINE_BUFFER:
        o->by_lines = true;
        return 0;
    case TAG:
        o->tag = true;
        return 0;
    case JOBLOG:
        o->joblog = text;
        return 0;
    case RESULTS:
        o->results = text;
        return 0;
    case JOURNAL:
        o->journal = text;
        o->resume = true;
        return 0;
    case STATUS:
        o->status = text;
        return 0;
    case RESUME:
        o->resume = true;
        return 0;
    case RESUME_FAILED:
        o->resume = o->resume_failed = true;
        return 0;
    case ANEW:
        o->resume = o->anew = true;
        return 0;
    case QUIET:
        o->quiet = true;
        return 0;
    case LIVE:
        o->live = true;
        return 0;
    case DRY_RUN:
        o->dry_run = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_limits(int key, char *text, struct argp_state *state, struct options *o)
{
    char *end;
    switch (key) {
    case 'j':
        return whole(state, "jobs", text, 65536, &o->jobs);
    case CORES:
        return whole(state, "cores", text, 65536, &o->cores);
    case GPUS:
        return whole(state, "gpus", text, 64, &o->gpus);
    case LOAD:
        o->load = strtod(text, &end);
        return *text && !*end && o->load > 0 ? 0 : bad(state, "load", text, "a number above 0");
    case MEMFREE:
        return size(state, "memfree", text, &o->memory_free);
    case MEMORY:
        return size(state, "memory", text, &o->memory_bytes);
    case 'w':
        o->directory = text;
        return 0;
    case ENV:
        return add_environment(o, text);
    case SHELL:
        o->shell = text;
        return access(text, X_OK) == 0 ? 0 : bad(state, "shell", text, "a program's path");
    case RETRIES:
        return whole(state, "retries", text, 1000000, &o->tries);
    case TIMEOUT:
        return parse_timeout(state, text, o);
    case HALT:
        return halt_parse(text, &o->halt) == 0
                   ? 0
                   : bad(state, "halt", text, "never, or like now,fail=1 soon,success=3 now,done=20%");
    case ON_STOP:
        o->finish = strcmp(text, "finish") == 0;
        return o->finish || strcmp(text, "drop") == 0 ? 0 : bad(state, "on-stop", text, "drop or finish");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* One word that is a file, and no program: commands. */
static bool is_command_file(int n, char *const *words)
{
    struct stat about;
    return n == 1 && (strcmp(words[0], "-") == 0 ||
                      (stat(words[0], &about) == 0 && !S_ISDIR(about.st_mode) && access(words[0], X_OK) != 0));
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    error_t err = ARGP_ERR_UNKNOWN;
    if (key == ARGP_KEY_ARG) {
        int first = state->next - 1;
        if (is_command_file(state->argc - first, state->argv + first)) {
            o->commands = text;
            o->lines.input_name = strcmp(text, "-") ? text : NULL;
        } else {
            o->lines.words = (const char *const *)state->argv + first;
            o->lines.n_words = state->argc - first;
        }
        state->next = state->argc;
        return 0;
    }
    if (key == HELP || key == VERSION)
        return help_or_version(key, state, o);
    err = parse_input(key, text, state, o);
    if (err == ARGP_ERR_UNKNOWN)
        err = parse_output(key, text, o);
    return err == ARGP_ERR_UNKNOWN ? parse_limits(key, text, state, o) : err;
}

int options_parse(int argc, char **argv, struct options *o)
{
    static const struct argp argp = {.options = known, .parser = parse, .args_doc = arguments, .doc = doc};
    *o = (struct options){.lines = {.delimiter = '\n'}, .tries = 1, .shell = "/bin/sh"};
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_EXIT | ARGP_NO_HELP, NULL, o) != 0)
        return FARM_EXIT_BAD;
    if (o->done)
        return 0;
    if (o->resume && !o->journal)
        o->journal = "farm.journal";
    o->lines.directives = o->lines.n_words == 0;
    return -1;
}
