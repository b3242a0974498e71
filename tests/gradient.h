/* The gradient check of an operation: its outputs against a reference twin in double, its gradients against central
 * differences of the twin. Inputs are parameters of a small set, filled with fixed pseudo-random numbers. */
#ifndef AP_TESTS_GRADIENT_H
#define AP_TESTS_GRADIENT_H

#include "check.h"
#include "tensor/ops.h"

enum { GRADIENT_INPUTS = 4 };
typedef struct gradient_case {
    const char *name;
    int inputs;
    struct {
        int rank;
        int64_t shape[AP_MAX_RANK];
    } input[GRADIENT_INPUTS];
    double range; /* inputs are uniform in (-range, range) */
    /* The operation on the inputs. A loss returns NULL (it is a root itself); its twin gives one number. */
    ap_tensor *(*op)(ap_tape *tape, ap_tensor *const *x, const void *user);
    void (*twin)(const double *const *x, double *y, const void *user);
    int64_t outputs; /* elements of y */
    bool is_loss;
    bool once; /* a second use in a pass would be another function (dropout) */
    const void *user;
    ap_pass pass;     /* dropout rate, seed, ...; the check fills in the rest */
    double tolerance; /* of outputs and gradients, relative to the largest one */
} gradient_case;

/* Uniform in (-1, 1), the same on every machine. */
static double gradient_noise(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(*state >> 11) + 0.5) * 0x1p-52 - 1;
}

/* A root: summed = sum_i c_i y_i. */
typedef struct gradient_root {
    ap_tensor *y;
    const float *c;
} gradient_root;

static void gradient_root_backward(ap_tape *tape, ap_tensor *output, void *context) {
    (void)output;
    const gradient_root *root = context;
    bool accumulate;
    float *dy = ap_tape_grad(tape, root->y, &accumulate);
    for (int64_t i = 0; dy && i < root->y->size; i++) dy[i] = accumulate ? dy[i] + root->c[i] : root->c[i];
}

static void gradient_record_root(ap_tape *tape, ap_tensor *y, const float *c) {
    gradient_root *root = y ? ap_tape_take(tape, sizeof *root) : NULL;
    if (!root) return;
    *root = (gradient_root){.y = y, .c = c};
    ap_tape_record(tape, gradient_root_backward, NULL, root, 1, &y);
}

typedef struct gradient_state {
    const gradient_case *test;
    ap_params *params;
    double *x[GRADIENT_INPUTS]; /* the float inputs in double */
    float *c;                   /* [outputs] cotangent */
    double *y;                  /* [outputs] scratch */
    float *gradients;
} gradient_state;

static double gradient_twin(gradient_state *s) {
    s->test->twin((const double *const *)s->x, s->y, s->test->user);
    double sum = 0;
    for (int64_t i = 0; i < s->test->outputs; i++) sum += (double)s->c[i] * s->y[i];
    return sum;
}

static double gradient_largest(int64_t n, const double *x) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* One pass with `uses` uses of the operation on the same inputs; compares the outputs with the twin. */
static void gradient_pass(gradient_state *s, int uses) {
    const gradient_case *t = s->test;
    ap_tape *tape = ap_tape_create(s->params, NULL, AP_MATH_ORDERED);
    ap_pass pass = t->pass;
    pass.training = pass.wants_grad = true;
    pass.gradients = s->gradients;
    ap_tape_begin(tape, &pass);
    ap_tensor *x[GRADIENT_INPUTS];
    for (int i = 0; i < t->inputs; i++) x[i] = ap_tape_param(tape, i);
    gradient_twin(s);
    double size = gradient_largest(t->outputs, s->y);
    for (int use = 0; use < uses; use++) {
        ap_tensor *y = t->op(tape, x, t->user);
        CHECK(t->is_loss || (y && y->size == t->outputs));
        for (int64_t i = 0; y && i < y->size; i++) CHECK_NEAR(y->data[i], s->y[i], t->tolerance * size);
        gradient_record_root(tape, y, s->c);
    }
    ap_error error = {0};
    CHECK_INT(ap_tape_backward(tape, &error), AP_OK);
    if (error.text[0]) printf("%s: %s\n", t->name, error.text);
    ap_tape_destroy(tape);
}

/* uses * d(sum c y)/dx by central differences of the twin, against the gradients of the last pass. */
static void gradient_compare(gradient_state *s, int uses) {
    const double h = 1e-5;
    int before = ap_check_failures;
    for (int p = 0; p < s->test->inputs; p++) {
        const ap_param *param = ap_params_get(s->params, p);
        double *want = calloc((size_t)param->size, sizeof *want);
        for (int64_t i = 0; i < param->size; i++) {
            double x = s->x[p][i];
            s->x[p][i] = x + h;
            double above = gradient_twin(s);
            s->x[p][i] = x - h;
            want[i] = uses * (above - gradient_twin(s)) / (2 * h);
            s->x[p][i] = x;
        }
        double size = gradient_largest(param->size, want);
        for (int64_t i = 0; i < param->size; i++)
            CHECK_NEAR(s->gradients[param->offset + i], want[i], s->test->tolerance * size + 1e-9);
        free(want);
    }
    if (ap_check_failures > before) printf("in gradient case %s, %d use(s)\n", s->test->name, uses);
}

__attribute__((unused)) static void gradient_check(const gradient_case *test) {
    gradient_state s = {.test = test, .params = ap_params_create()};
    uint64_t noise = 12345;
    for (int i = 0; i < test->inputs; i++) {
        char name[] = {'x', (char)('0' + i), 0};
        CHECK_INT(ap_params_add(s.params, name, test->input[i].rank, test->input[i].shape, ap_init_constant(0), NULL),
                  AP_OK);
    }
    CHECK_INT(ap_params_allocate(s.params, NULL), AP_OK);
    for (int i = 0; i < test->inputs; i++) {
        int64_t n = ap_params_get(s.params, i)->size;
        s.x[i] = calloc((size_t)n, sizeof **s.x);
        for (int64_t j = 0; j < n; j++)
            s.x[i][j] = ap_params_value(s.params, i)[j] = (float)(test->range * gradient_noise(&noise));
    }
    ap_params_changed(s.params);
    s.c = calloc((size_t)test->outputs, sizeof *s.c);
    s.y = calloc((size_t)test->outputs, sizeof *s.y);
    s.gradients = calloc((size_t)ap_params_length(s.params), sizeof *s.gradients);
    for (int64_t i = 0; i < test->outputs; i++) s.c[i] = test->is_loss ? 1 : (float)gradient_noise(&noise);
    for (int uses = 1; uses <= (test->once ? 1 : 2); uses++) { /* once: overwrite; twice: accumulate */
        for (int64_t i = 0; i < ap_params_length(s.params); i++) s.gradients[i] = NAN;
        gradient_pass(&s, uses);
        gradient_compare(&s, uses);
    }
    for (int i = 0; i < test->inputs; i++) free(s.x[i]);
    free(s.c), free(s.y), free(s.gradients);
    ap_params_destroy(s.params);
}

#endif
