/* table.c - rows in the order in which they first came. */
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 200
#define SEEDS 16

struct row {
    int number;
    char what[40], measure[32];
    bool least; /* else at most */
    double bar, figure[SEEDS];
    bool has[SEEDS];
};

static struct row rows[ROWS];
static uint32_t n_rows, seed_index, n_seeds;

void table_seed(uint32_t index, uint32_t n)
{
    seed_index = index < SEEDS ? index : SEEDS - 1;
    n_seeds = n < SEEDS ? n : SEEDS;
}

static struct row *find(int number, const char *what, const char *measure)
{
    for (uint32_t i = 0; i < n_rows; i++) {
        if (rows[i].number == number && strcmp(rows[i].what, what) == 0 &&
            strcmp(rows[i].measure, measure) == 0)
            return &rows[i];
    }
    if (n_rows == ROWS) {
        fprintf(stderr, "bars: more than %d rows\n", ROWS);
        exit(2);
    }
    struct row *r = &rows[n_rows++];
    r->number = number;
    snprintf(r->what, sizeof r->what, "%s", what);
    snprintf(r->measure, sizeof r->measure, "%s", measure);
    return r;
}

static void note(struct row *r, bool least, double bar, double figure)
{
    r->least = least;
    r->bar = bar;
    r->figure[seed_index] = figure;
    r->has[seed_index] = true;
}

void table_at_least(int number, const char *what, const char *measure, double bar, double figure)
{
    note(find(number, what, measure), true, bar, figure);
}

void table_at_most(int number, const char *what, const char *measure, double bar, double figure)
{
    note(find(number, what, measure), false, bar, figure);
}

/* A figure in at most 8 columns. */
static const char *show(double x, char *out, size_t size)
{
    if (x == floor(x) && fabs(x) < 1e7)
        snprintf(out, size, "%.0f", x);
    else
        snprintf(out, size, fabs(x) < 10 ? "%.4f" : "%.2f", x);
    return out;
}

static double worst_of(const struct row *r)
{
    double worst = NAN;
    for (uint32_t i = 0; i < n_seeds; i++) {
        if (r->has[i] && (isnan(worst) || (r->least ? r->figure[i] < worst : r->figure[i] > worst)))
            worst = r->figure[i];
    }
    return worst;
}

static double mean_of(const struct row *r)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_seeds; i++) {
        if (r->has[i]) {
            sum += r->figure[i];
            n++;
        }
    }
    return n > 0 ? sum / n : NAN;
}

/* By bar; rows of one bar keep their order. */
static void sort_rows(void)
{
    for (uint32_t i = 1; i < n_rows; i++) {
        struct row r = rows[i];
        uint32_t k = i;
        for (; k > 0 && rows[k - 1].number > r.number; k--)
            rows[k] = rows[k - 1];
        rows[k] = r;
    }
}

uint32_t table_print(void)
{
    uint32_t missed = 0;
    char text[32];
    sort_rows();
    printf("%3s  %-37s %-24s %-9s %8s %8s  %s\n", "bar", "case", "measure", "must be", "worst",
           "mean", "each seed");
    for (uint32_t i = 0; i < n_rows; i++) {
        const struct row *r = &rows[i];
        double worst = worst_of(r);
        bool ok = r->least ? worst >= r->bar : worst <= r->bar;
        missed += !ok;
        printf("%3d  %-37s %-24s %s %-6g", r->number, r->what, r->measure,
               r->least ? ">=" : "<=", r->bar);
        printf(" %8s", show(worst, text, sizeof text));
        printf(" %8s ", show(mean_of(r), text, sizeof text));
        for (uint32_t k = 0; k < n_seeds; k++)
            printf(" %8s", r->has[k] ? show(r->figure[k], text, sizeof text) : "-");
        printf("  %s\n", ok ? "ok" : "MISSED");
    }
    return missed;
}
