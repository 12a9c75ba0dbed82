/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling/report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/output.h"

#define NOISY 0.1 /* a spread beyond this is said */

extern char **environ;

/* The points of one set of values: their numbers of ranks and medians. */
static int curve(const struct plan *plan, int first, double *ranks, double *seconds)
{
    int n = 0;
    for (int i = 0; i < plan->options->n_ranks; i++) {
        const struct point *p = &plan->points[first + i];
        if (!p->n_times)
            continue;
        ranks[n] = p->ranks;
        seconds[n++] = p->summary.median;
    }
    return n;
}

struct laws {
    bool amdahl, usl;
    struct fitted serial, one, contention, coherence;
};

/* Laws of a work that stays the same. */
static struct laws laws_of(const struct plan *plan, int first)
{
    double ranks[PLAN_VALUES], seconds[PLAN_VALUES];
    struct laws laws = {0};
    int n = curve(plan, first, ranks, seconds);
    if (plan->options->weak)
        return laws;
    laws.amdahl = fit_amdahl(ranks, seconds, n, &laws.serial, &laws.one);
    laws.usl = fit_usl(ranks, seconds, n, &laws.contention, &laws.coherence);
    return laws;
}

static void put_fitted(FILE *to, const char *name, const struct fitted *f)
{
    if (f->error >= 0)
        fprintf(to, "%s %.4f ± %.4f", name, f->value, f->error);
    else
        fprintf(to, "%s %.4f (too few points for an error)", name, f->value);
}

static void page_table(const struct plan *plan, int first, FILE *to)
{
    bool weak = plan->options->weak;
    fprintf(to, "| ranks | median s | 95 %% interval | spread | %s | efficiency | Karp-Flatt | waited | failed |\n",
            weak ? "scaled speed-up" : "speed-up");
    fprintf(to, "|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < plan->options->n_ranks; i++) {
        const struct point *p = &plan->points[first + i];
        const struct summary *s = &p->summary;
        char karp[16] = "", waited[16] = "";
        if (!weak && p->speed_up > 0 && p->ranks > 1 && plan->points[first].ranks == 1)
            snprintf(karp, sizeof karp, "%.4f", fit_karp_flatt(p->speed_up, p->ranks));
        if (p->waited >= 0)
            snprintf(waited, sizeof waited, "%.0f %%", 100 * p->waited);
        fprintf(to, "| %d | %.6g | %.6g to %.6g | %.1f %% | %.2f | %.0f %% | %s | %s | %d |\n", p->ranks, s->median,
                s->low, s->high, 100 * s->spread, p->speed_up, 100 * p->efficiency, karp, waited, p->failures);
    }
}

static void page_noise(const struct plan *plan, double load, FILE *to)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double worst = 0;
    int most = 0;
    for (int i = 0; i < plan->n_points; i++) {
        worst = fmax(worst, plan->points[i].summary.spread);
        most = plan->points[i].ranks > most ? plan->points[i].ranks : most;
    }
    if (worst > NOISY)
        fprintf(
            to,
            "\n**Noisy**: half of the runs of a point differ by up to %.0f %%; differences below that mean nothing.\n",
            100 * worst);
    if (load > 0.5)
        fprintf(to, "\n**Not alone**: the load of the machine was %.1f before the first run.\n", load);
    if (!plan->options->launcher && most > cores)
        fprintf(to, "\n**More ranks than cores**: up to %d, and %ld here; they took turns.\n", most, cores);
}

void report_page(const struct plan *plan, double load, FILE *to)
{
    const struct options *o = plan->options;
    char values[256];
    fprintf(to, "# Scaling of ");
    if (o->kernel)
        fprintf(to, "the kernel %s", o->kernel);
    for (int i = 0; i < o->n_program; i++)
        fprintf(to, "%s%s", i ? " " : "", o->program[i]);
    fprintf(to, "\n\n%s; runs of each point: %d, in random order (seed %llu)%s\n",
            o->weak ? "Weak scaling" : "Strong scaling", o->repetitions, (unsigned long long)o->seed,
            o->repetitions < 6 ? "; too few for an interval of 95 %" : "");
    for (int first = 0; first < plan->n_points; first += o->n_ranks) {
        struct laws laws = laws_of(plan, first);
        const char *text = plan_values(plan, &plan->points[first], values, sizeof values);
        fprintf(to, "\n%s%s%s", *text ? "## " : "", text, *text ? "\n\n" : "");
        page_table(plan, first, to);
        if (laws.amdahl) {
            put_fitted(to, "\nAmdahl: serial part", &laws.serial);
            if (laws.serial.value > 1e-6 && laws.serial.value <= 1)
                fprintf(to, ", so a speed-up of %.1f at most\n", 1 / laws.serial.value);
            else
                fprintf(to, "%s\n", laws.serial.value > 1 ? "; more ranks are slower: the law does not fit" : "");
        }
        if (laws.usl) {
            put_fitted(to, "\nUniversal Scalability Law: contention", &laws.contention);
            put_fitted(to, ", coherence", &laws.coherence);
            if (laws.coherence.value > 0 && laws.contention.value < 1)
                fprintf(to, "; fastest at about %.0f ranks", sqrt((1 - laws.contention.value) / laws.coherence.value));
            fputc('\n', to);
        }
    }
    page_noise(plan, load, to);
}

static void write_csv(const struct plan *plan, FILE *to)
{
    const struct options *o = plan->options;
    fprintf(to, "ranks");
    for (int k = 0; k < o->n_parameters; k++)
        fprintf(to, ",%s", o->parameters[k].name);
    fprintf(to, ",runs,failed,median_s,low_s,high_s,least_s,most_s,spread,speed_up,efficiency,waited\n");
    for (int i = 0; i < plan->n_points; i++) {
        const struct point *p = &plan->points[i];
        const struct summary *s = &p->summary;
        fprintf(to, "%d", p->ranks);
        for (int k = 0; k < o->n_parameters; k++)
            fprintf(to, ",%s", o->parameters[k].values[p->values[k]]);
        fprintf(to, ",%d,%d,%.9g,%.9g,%.9g,%.9g,%.9g,%.4g,%.6g,%.6g,%.4g\n", s->n, p->failures, s->median, s->low,
                s->high, s->least, s->most, s->spread, p->speed_up, p->efficiency, p->waited);
    }
}

static void write_json(const struct plan *plan, double load, FILE *to)
{
    const struct options *o = plan->options;
    cJSON *all = cJSON_CreateObject(), *points = cJSON_AddArrayToObject(all, "points");
    cJSON_AddBoolToObject(all, "weak", o->weak);
    cJSON_AddNumberToObject(all, "seed", (double)o->seed);
    cJSON_AddNumberToObject(all, "load_before", load);
    for (int i = 0; i < plan->n_points; i++) {
        const struct point *p = &plan->points[i];
        cJSON *point = cJSON_CreateObject();
        cJSON_AddItemToArray(points, point);
        cJSON_AddNumberToObject(point, "ranks", p->ranks);
        for (int k = 0; k < o->n_parameters; k++)
            cJSON_AddStringToObject(point, o->parameters[k].name, o->parameters[k].values[p->values[k]]);
        cJSON_AddItemToObject(point, "seconds", cJSON_CreateDoubleArray(p->times, p->n_times));
        cJSON_AddNumberToObject(point, "median_s", p->summary.median);
        cJSON_AddNumberToObject(point, "speed_up", p->speed_up);
        cJSON_AddNumberToObject(point, "efficiency", p->efficiency);
        cJSON_AddNumberToObject(point, "failed", p->failures);
    }
    char *text = cJSON_Print(all);
    fprintf(to, "%s\n", text ? text : "{}");
    free(text);
    cJSON_Delete(all);
}

static void write_plot(const struct plan *plan, FILE *to)
{
    const struct options *o = plan->options;
    char values[256];
    int sets = 0;
    fprintf(to,
            "set terminal pngcairo size 800,600\nset output 'scaling.png'\nset key top left\nset grid\n"
            "set xlabel 'ranks'\nset ylabel '%s'\nset logscale xy 2\n",
            o->weak ? "scaled speed-up" : "speed-up");
    for (int first = 0; first < plan->n_points; first += o->n_ranks, sets++) {
        fprintf(to, "$set%d << EOD\n", sets);
        for (int i = 0; i < o->n_ranks; i++) {
            const struct point *p = &plan->points[first + i];
            double scale = p->summary.median * p->speed_up;
            if (p->speed_up > 0)
                fprintf(to, "%d %.6g %.6g %.6g\n", p->ranks, p->speed_up, scale / p->summary.high,
                        scale / p->summary.low);
        }
        fprintf(to, "EOD\n");
    }
    int least = plan->points[0].ranks;
    for (int i = 0; i < o->n_ranks; i++)
        least = o->ranks[i] < least ? o->ranks[i] : least;
    fprintf(to, "plot x/%d. title 'ideal' with lines dt 2 lc 'gray'", least);
    for (int k = 0; k < sets; k++) {
        struct laws laws = laws_of(plan, k * o->n_ranks);
        const char *text = plan_values(plan, &plan->points[k * o->n_ranks], values, sizeof values);
        fprintf(to, ", \\\n $set%d using 1:2:3:4 title '%s' with yerrorlines lc %d pt 7", k, *text ? text : "measured",
                k + 1);
        if (laws.amdahl && least == 1)
            fprintf(to, ", \\\n 1/(%.9g+(1-%.9g)/x) title 'Amdahl' with lines dt 3 lc %d", laws.serial.value,
                    laws.serial.value, k + 1);
        if (laws.usl)
            fprintf(to, ", \\\n x/(1+%.9g*(x-1)+%.9g*x*(x-1)) title 'USL' with lines dt 4 lc %d", laws.contention.value,
                    laws.coherence.value, k + 1);
    }
    fputc('\n', to);
}

static void draw(const char *folder)
{
    char *words[] = {(char *)"sh", (char *)"-c", (char *)"cd \"$0\" && exec gnuplot scaling.gp", (char *)folder, NULL};
    pid_t pid;
    int status = 0;
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, words, environ) != 0 || waitpid(pid, &status, 0) != pid || status)
        fprintf(stderr, "scaling: no picture: gnuplot did not draw %s/scaling.gp\n", folder);
}

int report_files(const struct plan *plan, double load)
{
    static const char *const names[] = {"scaling.csv", "scaling.json", "scaling.gp", "report.md"};
    for (int i = 0; i < 4; i++) {
        struct output_file file;
        if (output_begin(&file, plan->options->out, names[i]) == 0) {
            if (i == 0)
                write_csv(plan, file.stream);
            else if (i == 1)
                write_json(plan, load, file.stream);
            else if (i == 2)
                write_plot(plan, file.stream);
            else
                report_page(plan, load, file.stream);
            if (output_commit(&file) == 0)
                continue;
        }
        fprintf(stderr, "scaling: %s/%s: cannot be written: %s\n", plan->options->out, names[i], strerror(errno));
        return -1;
    }
    draw(plan->options->out);
    return 0;
}
