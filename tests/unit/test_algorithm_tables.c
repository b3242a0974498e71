/* Every training algorithm makes the same bits of a table's gradient, offered as a list of rows, as of the same
 * gradient at full size: also for rows that have none, where momentum and weight decay go on. */
#include "algorithm_problem.h"

enum { TABLES = 2, TABLE = PARAMS - TABLES, STEPS = 12 };

/* As `formula`, but of each table only some rows have a gradient; in some steps none has. */
static double few_rows(void *context, int64_t step, float *const *value, float *const *gradient) {
    const double loss = formula(context, step, value, gradient);
    for (int p = TABLE; gradient && p < PARAMS; p++)
        for (int64_t row = 0; row < infos[p].shape[0]; row++)
            if ((row + step) % 5 > 1)
                memset(gradient[p] + row * infos[p].shape[1], 0, (size_t)infos[p].shape[1] * sizeof(float));
    return loss;
}

static void compare(const ap_submission *a, double grad_clip) {
    ap_point point = own_point(a);
    if (grad_clip > 0) set(&point, "grad_clip", grad_clip);
    ap_solo *solo[2];
    for (int lists = 0; lists < 2; lists++) {
        solo[lists] = solo_for(&point, few_rows, lists ? TABLES : 0);
        init(solo[lists], a);
        run(solo[lists], a, STEPS);
    }
    for (int p = 0; p < PARAMS; p++) {
        const bool same =
            memcmp(ap_solo_value(solo[0], p), ap_solo_value(solo[1], p), (size_t)infos[p].size * sizeof(float)) == 0;
        if (!same) printf("%s, grad_clip %g: %s differs\n", a->name, grad_clip, infos[p].name);
        CHECK(same);
    }
    CHECK(memcmp(ap_solo_value(solo[0], TABLE), (float[]){initial_value(TABLE, 0)}, sizeof(float)) != 0);
    ap_solo_destroy(solo[0]), ap_solo_destroy(solo[1]);
    ap_point_free(&point);
}

static void test_same_bits(void) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        compare(*a, 0);
        compare(*a, 0.5);
    }
}

/* The two ways of looking at a gradient tell the same, and writing through one is seen through the other. */
static void test_two_views(void) {
    const ap_submission *a = algorithm("nadamw");
    ap_point point = own_point(a);
    ap_solo *solo = solo_for(&point, few_rows, TABLES);
    init(solo, a);
    run(solo, a, 1);
    ap_host *host = ap_solo_host(solo);
    ap_gradient_rows rows;
    CHECK(!host->call->gradient_rows(host, 0, &rows));
    CHECK(host->call->gradient_rows(host, TABLE, &rows));
    CHECK(rows.count == 20 && rows.columns == 8 && rows.row[2] == 5);
    rows.values[2 * 8 + 3] = 42;
    CHECK(host->call->gradient(host, TABLE)[5 * 8 + 3] == 42);
    CHECK(!host->call->gradient_rows(host, TABLE, &rows)); /* now that one counts */
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

AP_TEST_MAIN(test_same_bits, test_two_views)
