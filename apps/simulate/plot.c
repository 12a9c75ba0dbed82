/* SPDX-License-Identifier: BSD-3-Clause */
#include "simulate/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/output.h"
#include "simulate/exact.h"

#define CURVE_SAMPLES 400
#define LARGE_HEAT    1e3 /* stands for the infinity at the critical temperature, above every axis */

extern char **environ;

static const char preamble[] = "# Draws results.csv: `gnuplot results.gp`, in this directory, makes results.png.\n"
                               "if (!exists('picture')) picture = 'results.png'\n"
                               "if (strstrt(GPVAL_TERMINALS, 'pngcairo')) {\n"
                               "  set terminal pngcairo size 1920,1200 font 'DejaVu Sans,14' background rgb 'white'\n"
                               "} else {\n"
                               "  set terminal png truecolor size 1920,1200 font 'DejaVuSans,14'\n"
                               "}\n"
                               "set output picture\n"
                               "set encoding utf8\n"
                               "set minussign\n"
                               "set datafile separator ','\n"
                               "set datafile columnheaders\n";

/* After sizes, low, high, tc, c_top and the datablocks are defined. y(L, name): a column's value in the rows of one
 * size. */
static const char panels[] =
    "y(L, name) = (column('L') == L ? column(name) : NaN)\n"
    "size(i) = int(word(sizes, i))\n"
    "label(i) = 'L = '.word(sizes, i)\n"
    "set border 3 linecolor rgb '#505050'\n"
    "set grid linecolor rgb '#e6e6e6' linetype 1 linewidth 0.8\n"
    "set tics nomirror out scale 0.6\n"
    "set bars 0.4\n"
    "set xrange [low:high]\n"
    "set xlabel 'temperature T  (J / k_B)' offset 0,0.2\n"
    "set style arrow 1 nohead dashtype (3,4) linewidth 1.2 linecolor rgb '#909090'\n"
    "if (tc > low && tc < high) set arrow 1 from tc, graph 0 to tc, graph 1 arrowstyle 1 back\n"
    "if (tc > low && tc < high) set label 1 ' T_c' at tc, graph 0.03 left textcolor rgb '#808080' back\n"
    "set multiplot layout 2,3 margins 0.05,0.985,0.07,0.9 spacing 0.055,0.125 title heading font ',18' offset 0,-0.3\n"
    "exact = '#d95f02'\n"
    "\n"
    "set title 'Energy per site, e / J'\n"
    "set key top left Left reverse samplen 1.5\n"
    "plot $infinite using 'T':'e' with lines linewidth 2 linecolor rgb exact title 'Onsager, L = ∞', \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'e')):'e_error' with yerrorbars linetype i title "
    "label(i)\n"
    "\n"
    "set title 'Magnetization per site, ⟨|m|⟩'\n"
    "set key top right Right noreverse\n"
    "set yrange [0:1.05]\n"
    "plot $infinite using 'T':'m' with lines linewidth 2 linecolor rgb exact title 'Yang, L = ∞', \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'm')):'m_error' with yerrorbars linetype i notitle\n"
    "\n"
    "set title 'Specific heat per site, c / k_B'\n"
    "set yrange [0:c_top]\n"
    "plot $infinite using 'T':'c' with lines linewidth 2 linecolor rgb exact title 'Onsager, L = ∞', \\\n"
    "  NaN with lines linewidth 1.2 linecolor rgb '#606060' title 'Kaufman, each L', \\\n"
    "  for [i=1:words(sizes)] $heat using 1:(column(i + 1)) with lines linetype i linewidth 1.2 notitle, \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'c')):'c_error' with yerrorbars linetype i notitle\n"
    "\n"
    "set title 'Susceptibility of |M| per site, χ J'\n"
    "set logscale y\n"
    "set yrange [*:*]\n"
    "set format y '10^{%T}'\n"
    "plot for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'chi')) with lines linetype i linewidth 1.2 "
    "notitle, \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'chi')):'chi_error' with yerrorbars linetype i "
    "notitle\n"
    "unset logscale y\n"
    "set format y\n"
    "\n"
    "set title 'Binder cumulant, U = 1 − ⟨m^4⟩ / 3⟨m^2⟩^2'\n"
    "set key top right\n"
    "set yrange [*:0.7]\n"
    "plot 0.610692 with lines dashtype (8,4) linewidth 1.5 linecolor rgb exact title 'U_c, L = ∞', \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'binder')) with lines linetype i linewidth 1.2 "
    "notitle, \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':(y(size(i), 'binder')):'binder_error' with yerrorbars linetype "
    "i notitle\n"
    "\n"
    "set title '(e − Kaufman’s exact e) / standard error'\n"
    "unset key\n"
    "set yrange [-5:5]\n"
    "set object 1 rectangle from graph 0, first -1 to graph 1, first 1 fillcolor rgb '#f3e3d5' fillstyle noborder "
    "back\n"
    "plot 0 with lines linewidth 1.5 linecolor rgb exact, \\\n"
    "  4 with lines dashtype (3,4) linewidth 1.2 linecolor rgb exact, \\\n"
    "  -4 with lines dashtype (3,4) linewidth 1.2 linecolor rgb exact, \\\n"
    "  for [i=1:words(sizes)] 'results.csv' using 'T':((y(size(i), 'e') - column('e_kaufman')) / column('e_error')) "
    "with points linetype i\n"
    "unset multiplot\n";

struct range {
    double low, high;
};

/* Room above the highest measured specific heat, which Onsager's infinity must not take. */
static double top_of_heat(const struct point *points, int n)
{
    double top = 0;
    for (int i = 0; i < n; i++)
        if (points[i].replicas > 0)
            top = fmax(top, points[i].quantity[HEAT].value + points[i].quantity[HEAT].error);
    return top > 0 ? 1.25 * top : 1;
}

static struct range temperatures_of(const struct point *points, int n)
{
    struct range r = {INFINITY, -INFINITY};
    for (int i = 0; i < n; i++)
        if (points[i].replicas > 0) {
            r.low = fmin(r.low, points[i].temperature);
            r.high = fmax(r.high, points[i].temperature);
        }
    double margin = fmax(0.03 * (r.high - r.low), 0.005 * r.low);
    return (struct range){r.low - margin, r.high + margin};
}

/* Datablocks: the infinite lattice's energy, magnetization and specific heat; each size's exact specific heat. */
static void write_curves(FILE *f, const struct experiment *e, struct range r)
{
    double step = (r.high - r.low) / CURVE_SAMPLES;
    fprintf(f, "$infinite << EOD\nT,e,m,c\n");
    for (int i = 0; i <= CURVE_SAMPLES; i++) {
        double t = r.low + step * i;
        fprintf(f, "%.8g,%.8g,%.8g,%.8g\n", t, exact_onsager_energy(t), exact_yang_magnetization(t),
                fmin(exact_onsager_heat(t), LARGE_HEAT));
        if (t < EXACT_CRITICAL_TEMPERATURE && t + step > EXACT_CRITICAL_TEMPERATURE)
            fprintf(f, "%.10g,%.8g,0,%g\n", EXACT_CRITICAL_TEMPERATURE, -sqrt(2), LARGE_HEAT);
    }
    fprintf(f, "EOD\n$heat << EOD\nT");
    for (int s = 0; s < e->size_count; s++)
        fprintf(f, ",c%d", e->sizes[s]);
    for (int i = 0; i <= CURVE_SAMPLES; i++) {
        double t = r.low + step * i;
        fprintf(f, "\n%.8g", t);
        for (int s = 0; s < e->size_count; s++)
            fprintf(f, ",%.8g", exact_kaufman_heat(e->sizes[s], t));
    }
    fprintf(f, "\nEOD\n");
}

/* From light green over teal to dark violet (the viridis map), so that larger lattices are darker. */
static unsigned colour_of(int i, int n)
{
    static const double anchors[][3] = {{122, 209, 81}, {34, 168, 132}, {42, 120, 142}, {65, 68, 135}, {68, 1, 84}};
    double x = n > 1 ? 4.0 * i / (n - 1) : 3;
    int k = x >= 4 ? 3 : (int)x;
    unsigned rgb = 0;
    for (int c = 0; c < 3; c++)
        rgb = rgb << 8 | (unsigned)lround(anchors[k][c] + (x - k) * (anchors[k + 1][c] - anchors[k][c]));
    return rgb;
}

static void write_sizes(FILE *f, const struct experiment *e)
{
    static const int shapes[] = {7, 5, 9, 11, 13};
    fprintf(f, "sizes = '");
    for (int i = 0; i < e->size_count; i++)
        fprintf(f, "%s%d", i ? " " : "", e->sizes[i]);
    fprintf(f, "'\n");
    for (int i = 0; i < e->size_count; i++)
        fprintf(f, "set linetype %d linecolor rgb '#%06x' linewidth 1.5 pointtype %d pointsize 1\n", i + 1,
                colour_of(i, e->size_count), shapes[i % 5]);
}

void plot_write_script(FILE *stream, const struct experiment *e, const struct point *points, int n)
{
    struct range r = temperatures_of(points, n);
    fputs(preamble, stream);
    write_sizes(stream, e);
    fprintf(stream, "low = %.8g\nhigh = %.8g\ntc = %.10g\nc_top = %.4g\n", r.low, r.high, EXACT_CRITICAL_TEMPERATURE,
            top_of_heat(points, n));
    fprintf(stream,
            "heading = 'Ising model on L × L tori, Metropolis Monte Carlo: replicas: %d, measurements a point: %lld'\n",
            e->replicas, (long long)e->measurements);
    write_curves(stream, e, r);
    fputs(panels, stream);
}

/* Starts gnuplot in the directory, silent. Returns 0 or an error number. */
static int start_gnuplot(const char *directory, const char *picture, pid_t *pid)
{
    char assignment[OUTPUT_PATH_MAX];
    snprintf(assignment, sizeof assignment, "picture='%s'", picture);
    char *const arguments[] = {"gnuplot", "-e", assignment, "results.gp", NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawn_file_actions_addchdir_np(&actions, directory);
    for (int fd = 0; fd < 3 && !error; fd++)
        error = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (!error)
        error = posix_spawnp(pid, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

plot_outcome plot_draw(const char *directory)
{
    char picture[64], temporary[OUTPUT_PATH_MAX], final[OUTPUT_PATH_MAX];
    snprintf(picture, sizeof picture, ".results.png.%ld.tmp", (long)getpid());
    if (output_path(temporary, directory, picture) != 0 || output_path(final, directory, "results.png") != 0)
        return PLOT_FAILED;
    pid_t pid;
    int error = start_gnuplot(directory, picture, &pid), status = 0;
    if (error)
        return error == ENOENT ? PLOT_NO_GNUPLOT : PLOT_FAILED;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return PLOT_FAILED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return PLOT_NO_GNUPLOT;
    if (status == 0 && rename(temporary, final) == 0)
        return PLOT_DRAWN;
    unlink(temporary);
    return PLOT_FAILED;
}
