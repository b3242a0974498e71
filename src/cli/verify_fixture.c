/* Model fixtures: one tool for all workloads. The file's layout and its tolerances: tests/fixtures/README.md. */
#include "cli/verify.h"

#include "cli/verify_search.h"
#include "tensor/kernels/isa.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { READ_LIMIT = 1 << 30, MAX_ROWS = 48, MAX_OPTIONS = 64, NAME = 160 };

/* One line of the table: the tensor that came closest to its limit, or went furthest beyond it. */
typedef struct row {
    const char *name;
    int tensors;
    double share; /* error / allowed */
    double error, allowed, error_f64;
    char extra[48]; /* the case of /extra it belongs to; "": none */
    char worst[NAME];
} row;

typedef struct fixture {
    const ap_workload *workload;
    const char *variant; /* "" = the base */
    const char *path;
    hid_t file;
    void *model;
    char ignored[512]; /* facts of `config` that are not the model's */
    ap_loss_options options;
    ap_params *params, *state;
    float *gradients, *new_state; /* flat, as params and state */
    const char *where;            /* group of inputs, outputs and grads: "" = the root, "/extra/CASE" */
    int64_t inputs;
    char **input_names; /* the batch borrows them */
    ap_batch batch;
    ap_tape *tape;
    bool searched;
    int rows;
    row row[MAX_ROWS];
} fixture;

/* ---- comparing */

/* Suggested limits of the fixtures; networks with a large batch-norm initialisation lose more digits in float32 itself.
 */
typedef struct limits {
    double logits, gradient, state;
} limits;

/* allowed = absolute + relative * max |want|, and not less than `nothing` where max |want| itself is not more. */
typedef struct allowance {
    double absolute, relative, nothing;
} allowance;

static const allowance of_loss = {.relative = 1e-5}, of_front_end = {.absolute = 2e-4};
static const double gradient_floor = 1e-7, gradient_zero = 2e-6;

static limits limits_of(const fixture *f) {
    const char *slash = strrchr(f->path, '/');
    bool large = strstr(slash ? slash + 1 : f->path, "large_bn_init") != NULL;
    return large ? (limits){2e-4, 5e-4, 1e-4} : (limits){2e-5, 1e-4, 1e-5};
}

static row *find_row(fixture *f, const char *name) {
    for (int i = 0; i < f->rows; i++)
        if (strcmp(f->row[i].name, name) == 0) return &f->row[i];
    return NULL;
}

/* The row of that name, made if it is new. MAX_ROWS bounds what this file and AP_MAX_SUMS can ask for. */
static row *get_row(fixture *f, const char *name) {
    row *r = find_row(f, name);
    if (r) return r;
    r = &f->row[f->rows++];
    *r = (row){.name = name, .share = -1, .error_f64 = NAN};
    return r;
}

/* max |a - b|; infinite as soon as one side is not finite. */
static double largest_difference(int64_t n, const float *a, const double *b) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return INFINITY;
        largest = fmax(largest, fabs((double)a[i] - b[i]));
    }
    return largest;
}

static double largest_size(int64_t n, const double *values) {
    double size = 0;
    for (int64_t i = 0; i < n; i++) size = fmax(size, fabs(values[i]));
    return size;
}

/* What the reference itself lost in float32, against its float64 twin. Where we agree to the bit it does not matter:
 * rows of padding are so. */
static double own_error(int64_t n, const float *got, const double *want, const double *want_f64) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        if ((double)got[i] != want[i]) largest = fmax(largest, fabs(want[i] - want_f64[i]));
    return largest;
}

static void compare(row *r, const char *tensor, int64_t n, const float *got, const double *want, const double *want_f64,
                    allowance a) {
    const double size = largest_size(n, want), error = largest_difference(n, got, want);
    double allowed = fmax(a.absolute + a.relative * size, size <= a.nothing ? a.nothing : 0);
    if (want_f64) allowed += fmin(allowed, own_error(n, got, want, want_f64));
    double share = error == 0 ? 0 : allowed > 0 ? error / allowed : INFINITY;
    r->tensors++;
    if (share <= r->share) return;
    r->share = share, r->error = error, r->allowed = allowed;
    r->error_f64 = want_f64 ? largest_difference(n, got, want_f64) : NAN;
    snprintf(r->worst, sizeof r->worst, "%s", tensor);
}

/* Reads GROUP/NAME and, if it is there, its float64 twin, and compares. */
static ap_status check(fixture *f, row *r, const char *want_path, const char *f64_path, const char *tensor, int64_t n,
                       const float *got, allowance allowed, ap_error *error) {
    void *want = NULL, *want_f64 = NULL;
    int64_t read;
    AP_TRY(ap_h5_read(f->file, want_path, AP_F64, n, READ_LIMIT, &want, &read, error));
    if (ap_h5_exists(f->file, f64_path)) {
        ap_status status = ap_h5_read(f->file, f64_path, AP_F64, n, READ_LIMIT, &want_f64, &read, error);
        if (status != AP_OK) {
            free(want);
            return status;
        }
    }
    compare(r, tensor, n, got, want, want_f64, allowed);
    free(want);
    free(want_f64);
    return AP_OK;
}

static ap_status check_output(fixture *f, const char *name, int64_t n, const float *got, allowance allowed,
                              ap_error *error) {
    char want[2 * NAME], f64[2 * NAME];
    snprintf(want, sizeof want, "%s/outputs/%s", f->where, name);
    snprintf(f64, sizeof f64, "%s/outputs/%s_f64", f->where, name);
    return check(f, get_row(f, name), want, f64, name, n, got, allowed, error);
}

/* Logits; where the workload says that a row is padding, the fixture's own numbers stand in for ours. */
static ap_status check_logits(fixture *f, const char *name, const ap_tensor *logits, ap_error *error) {
    const allowance limit = {.absolute = limits_of(f).logits};
    const int64_t classes = logits->rank ? logits->shape[logits->rank - 1] : 1, rows = logits->size / classes;
    if (!f->workload->logit_weights) return check_output(f, name, logits->size, logits->data, limit, error);
    float *weights = malloc((size_t)(rows + logits->size) * sizeof *weights), *got = weights ? weights + rows : NULL;
    if (!weights) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld logits", (long long)logits->size);
    f->workload->logit_weights(f->model, logits, &f->batch, weights);
    void *want = NULL;
    int64_t n;
    char path[2 * NAME];
    snprintf(path, sizeof path, "%s/outputs/%s", f->where, name);
    ap_status status = ap_h5_read(f->file, path, AP_F32, logits->size, READ_LIMIT, &want, &n, error);
    for (int64_t i = 0; i < rows && !status; i++)
        memcpy(got + i * classes, (weights[i] != 0 ? logits->data : (float *)want) + i * classes,
               (size_t)classes * sizeof *got);
    if (!status) status = check_output(f, name, logits->size, got, limit, error);
    free(want);
    free(weights);
    return status;
}

static ap_status check_number(fixture *f, const char *name, double got, ap_error *error) {
    float value = (float)got;
    return check_output(f, name, 1, &value, of_loss, error);
}

/* Every tensor of `set` against GROUP/<name>, values in the flat array `got`. */
static ap_status check_set(fixture *f, const char *row_name, const ap_params *set, const char *group,
                           const char *f64_group, const float *got, allowance allowed, ap_error *error) {
    row *r = get_row(f, row_name);
    for (int i = 0; i < ap_params_count(set); i++) {
        const ap_param *tensor = ap_params_get(set, i);
        char want[2 * NAME], f64[2 * NAME];
        snprintf(want, sizeof want, "%s/%s", group, tensor->name);
        snprintf(f64, sizeof f64, "%s/%s", f64_group, tensor->name);
        AP_TRY(check(f, r, want, f64, tensor->name, tensor->size, got + tensor->offset, allowed, error));
    }
    return AP_OK;
}

/* A gradient that is zero but for rounding (a bias before a batch norm) has the digits that the terms it sums lost, on
 * either side: it is held to gradient_zero of the model's largest. */
static ap_status check_gradients(fixture *f, const char *group, const char *f64_group, ap_error *error) {
    allowance allowed = {.absolute = gradient_floor, .relative = limits_of(f).gradient};
    for (int i = 0; i < ap_params_count(f->params); i++) {
        const ap_param *tensor = ap_params_get(f->params, i);
        char path[2 * NAME];
        void *values;
        int64_t n;
        snprintf(path, sizeof path, "%s/%s", group, tensor->name);
        AP_TRY(ap_h5_read(f->file, path, AP_F64, tensor->size, READ_LIMIT, &values, &n, error));
        allowed.nothing = fmax(allowed.nothing, gradient_zero * largest_size(n, values));
        free(values);
    }
    return check_set(f, "gradients", f->params, group, f64_group, f->gradients, allowed, error);
}

/* ---- the model: `config` */

/* The text form that option tables read; lists of scalars become "a,b,c". */
static bool value_text(const json_t *value, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (i) used += (size_t)snprintf(text + used, size - used, ",");
        if (used >= size || json_is_array(item) || !value_text(item, text + used, size - used)) return false;
        used += strlen(text + used);
    }
    if (json_is_array(value)) return true;
    if (json_is_string(value)) return (size_t)snprintf(text, size, "%s", json_string_value(value)) < size;
    if (json_is_integer(value)) return snprintf(text, size, "%lld", (long long)json_integer_value(value)) > 0;
    if (json_is_real(value)) return snprintf(text, size, "%.17g", json_real_value(value)) > 0;
    if (json_is_boolean(value)) return snprintf(text, size, "%s", json_is_true(value) ? "true" : "false") > 0;
    return false;
}

static ap_status set_option(fixture *f, const char *key, const json_t *value, ap_error *error) {
    const ap_workload *w = f->workload;
    if (strcmp(key, "label_smoothing") == 0) {
        if (!json_is_number(value) || !(json_number_value(value) >= 0 && json_number_value(value) < 1))
            return ap_fail(error, AP_DATA, "%s: config: label_smoothing must be a number in [0, 1)", f->path);
        f->options.label_smoothing = (float)json_number_value(value);
        return AP_OK;
    }
    for (size_t i = 0; i < w->option_count; i++) {
        if (strcmp(w->options[i].name, key) != 0) continue;
        char text[256];
        if (!value_text(value, text, sizeof text))
            return ap_fail(error, AP_DATA, "%s: config: %s must be a number, a boolean, a text or a list of these",
                           f->path, key);
        if (ap_options_set(w->options, w->option_count, key, text, f->path, f->model, error) == AP_OK) return AP_OK;
        if (error) error->status = AP_DATA; /* here the options come from a data file */
        return AP_DATA;
    }
    size_t used = strlen(f->ignored);
    snprintf(f->ignored + used, sizeof f->ignored - used, "%s%s", used ? ", " : "", key);
    return AP_OK;
}

static ap_status read_model(fixture *f, ap_error *error) {
    const ap_workload *w = f->workload;
    f->model = calloc(1, w->model_size ? w->model_size : 1);
    if (!f->model) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the model's options");
    AP_TRY(ap_workload_model(w, f->variant, f->model, error));
    char *text;
    json_error_t where;
    if (!ap_h5_has_attribute(f->file, "/", "config"))
        return ap_fail(error, AP_DATA, "%s: there is no attribute `config`; is this a model fixture?", f->path);
    AP_TRY(ap_h5_get_text(f->file, "/", "config", &text, error));
    json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!json_is_object(config)) {
        json_decref(config);
        return ap_fail(error, AP_DATA, "%s: the attribute `config` is not a JSON object (%s); is this a model fixture?",
                       f->path, config ? "another type" : where.text);
    }
    ap_status status = AP_OK;
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) {
        status = set_option(f, key, value, error);
        if (status != AP_OK) break;
    }
    json_decref(config);
    return status;
}

/* A fixture of a variant is called WORKLOAD_VARIANT; the file decides which it is unless the user named one. */
static ap_status check_workload(fixture *f, ap_error *error) {
    if (!ap_h5_has_attribute(f->file, "/", "workload")) return AP_OK;
    char *name;
    const ap_workload *workload;
    const char *variant;
    AP_TRY(ap_h5_get_text(f->file, "/", "workload", &name, error));
    bool fits = ap_workload_find_label(name, &workload, &variant, NULL) == AP_OK && workload == f->workload &&
                (!*f->variant || strcmp(variant, f->variant) == 0);
    if (fits)
        f->variant = variant;
    else
        ap_fail(error, AP_DATA, "%s: this is a fixture of `%s`, not of `%s%s%s`; name that workload", f->path, name,
                f->workload->name, *f->variant ? "_" : "", f->variant);
    free(name);
    return fits ? AP_OK : AP_DATA;
}

/* ---- tensors of the file */

static void shape_text(int rank, const int64_t *shape, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}

static ap_status check_shape(const fixture *f, const char *path, const ap_param *tensor, ap_error *error) {
    int rank;
    int64_t shape[AP_H5_MAX_RANK];
    AP_TRY(ap_h5_shape(f->file, path, &rank, shape, error));
    if (rank == tensor->rank && memcmp(shape, tensor->shape, (size_t)rank * sizeof *shape) == 0) return AP_OK;
    char found[128], wanted[128];
    shape_text(rank, shape, found, sizeof found);
    shape_text(tensor->rank, tensor->shape, wanted, sizeof wanted);
    return ap_fail(error, AP_DATA, "%s: %s is %s, but the model that `config` describes has %s", f->path, path, found,
                   wanted);
}

/* The names in `group` must be exactly those of the set. */
static ap_status check_names(const fixture *f, const char *group, const ap_params *set, ap_error *error) {
    for (int i = 0; i < ap_params_count(set); i++) {
        char path[2 * NAME];
        snprintf(path, sizeof path, "%s/%s", group, ap_params_get(set, i)->name);
        if (!ap_h5_exists(f->file, path))
            return ap_fail(error, AP_DATA, "%s: %s is missing (the model has it)", f->path, path);
        AP_TRY(check_shape(f, path, ap_params_get(set, i), error));
    }
    if (!ap_h5_exists(f->file, group)) return AP_OK;
    int64_t n;
    char **names;
    ap_status status = AP_OK;
    AP_TRY(ap_h5_list(f->file, group, &n, &names, error));
    for (int64_t i = 0; i < n && status == AP_OK; i++)
        if (ap_params_find(set, names[i]) < 0)
            status = ap_fail(error, AP_DATA, "%s: %s/%s is there, but the model has no tensor of that name", f->path,
                             group, names[i]);
    ap_h5_free_text(n, names);
    return status;
}

static ap_status read_set(const fixture *f, const char *group, ap_params *set, ap_error *error) {
    AP_TRY(check_names(f, group, set, error));
    AP_TRY(ap_params_allocate(set, error));
    for (int i = 0; i < ap_params_count(set); i++) {
        const ap_param *tensor = ap_params_get(set, i);
        char path[2 * NAME];
        void *data;
        int64_t n;
        snprintf(path, sizeof path, "%s/%s", group, tensor->name);
        AP_TRY(ap_h5_read(f->file, path, AP_F32, tensor->size, READ_LIMIT, &data, &n, error));
        memcpy(ap_params_value(set, i), data, (size_t)n * sizeof(float));
        free(data);
    }
    ap_params_changed(set);
    return AP_OK;
}

static ap_status read_tensors(fixture *f, ap_error *error) {
    f->params = ap_params_create();
    f->state = ap_params_create();
    if (!f->params || !f->state) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the parameters");
    AP_TRY(f->workload->define(f->model, f->params, f->state, error));
    AP_TRY(read_set(f, "/params", f->params, error));
    AP_TRY(read_set(f, "/state/initial", f->state, error));
    AP_TRY(check_names(f, "/grads", f->params, error));
    AP_TRY(check_names(f, "/state/updated", f->state, error));
    f->gradients = calloc((size_t)ap_params_length(f->params) + 1, sizeof(float));
    f->new_state = calloc((size_t)ap_params_length(f->state) + 1, sizeof(float));
    if (!f->gradients || !f->new_state) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the gradients");
    memcpy(f->new_state, ap_params_values(f->state), (size_t)ap_params_length(f->state) * sizeof(float));
    return AP_OK;
}

/* ---- the batch */

/* float32 (also for float64), int64 (also for narrower integers), uint8 (booleans). */
static ap_status input_type(const fixture *f, const char *path, ap_dtype *type, ap_error *error) {
    hid_t set = H5Dopen2(f->file, path, H5P_DEFAULT);
    hid_t stored = set < 0 ? H5I_INVALID_HID : H5Dget_type(set);
    H5T_class_t class = stored < 0 ? H5T_NO_CLASS : H5Tget_class(stored);
    size_t size = stored < 0 ? 0 : H5Tget_size(stored);
    if (stored >= 0) H5Tclose(stored);
    if (set >= 0) H5Dclose(set);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return ap_fail(error, AP_DATA, "%s: %s is neither integer nor floating-point data", f->path, path);
    *type = class == H5T_FLOAT ? AP_F32 : size == 1 ? AP_U8 : AP_I64;
    return AP_OK;
}

static ap_status read_input(fixture *f, const char *name, ap_error *error) {
    char path[2 * NAME];
    int rank;
    int64_t shape[AP_H5_MAX_RANK], n;
    ap_dtype type = AP_F32;
    void *data;
    snprintf(path, sizeof path, "%s/inputs/%s", f->where, name);
    AP_TRY(ap_h5_shape(f->file, path, &rank, shape, error));
    AP_TRY(input_type(f, path, &type, error));
    AP_TRY(ap_h5_read(f->file, path, type, -1, READ_LIMIT, &data, &n, error));
    void *room = ap_batch_add(&f->batch, name, type, rank, shape);
    if (room && n) memcpy(room, data, (size_t)n * ap_dtype_size(type));
    free(data);
    if (!room)
        return ap_fail(error, AP_DATA, "%s: %s does not fit into a batch (at most %d arrays of %d dimensions)", f->path,
                       path, AP_MAX_ARRAYS, AP_ARRAY_MAX_RANK);
    return AP_OK;
}

static ap_status read_batch(fixture *f, ap_error *error) {
    char inputs[NAME];
    snprintf(inputs, sizeof inputs, "%s/inputs", f->where);
    AP_TRY(ap_h5_list(f->file, inputs, &f->inputs, &f->input_names, error));
    for (int64_t i = 0; i < f->inputs; i++) AP_TRY(read_input(f, f->input_names[i], error));
    const ap_array *first = ap_batch_find(&f->batch, "inputs"), *weights = ap_batch_find(&f->batch, "weights");
    if (!first) first = ap_batch_find(&f->batch, "targets"); /* a graph network's */
    if (!first || first->rank < 1)
        return ap_fail(error, AP_DATA, "%s: %s has neither inputs nor targets", f->path, inputs);
    f->batch.examples = f->batch.real_examples = first->shape[0];
    if (weights && weights->type == AP_F32 && weights->rank == 1) {
        f->batch.real_examples = 0;
        for (int64_t i = 0; i < weights->size; i++) f->batch.real_examples += ((const float *)weights->data)[i] > 0;
    }
    return AP_OK;
}

/* ---- the passes */

/* The front end against /intermediate, whose numbers are the model's input from here on: where a bin is quiet its
 * float32 noise is of the size that logits are compared with. */
static ap_status run_front_end(fixture *f, ap_error *error) {
    const char *name = f->workload->front_end_name;
    char path[2 * NAME], path_f64[2 * NAME + 4];
    int rank;
    int64_t shape[AP_H5_MAX_RANK], n = 1;
    snprintf(path, sizeof path, "%s/intermediate/%s", f->where, name ? name : "");
    if (!name || !ap_h5_exists(f->file, path)) return AP_OK;
    snprintf(path_f64, sizeof path_f64, "%s_f64", path);
    AP_TRY(ap_h5_shape(f->file, path, &rank, shape, error));
    for (int i = 0; i < rank; i++) n *= shape[i];
    float *got = malloc((size_t)(n ? n : 1) * sizeof *got), *recorded = NULL;
    if (!got) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld numbers of %s", (long long)n, path);
    ap_status status = AP_OK;
    if (!f->workload->front_end(f->model, &f->batch, n, got))
        status = ap_fail(error, AP_DATA, "%s: %s has %lld numbers, which is not what the inputs give", f->path, path,
                         (long long)n);
    if (!status) status = check(f, get_row(f, name), path, path_f64, name, n, got, of_front_end, error);
    if (!status) status = ap_h5_read(f->file, path, AP_F32, n, READ_LIMIT, (void **)&recorded, &n, error);
    float *room = status ? NULL : ap_batch_add(&f->batch, name, AP_F32, rank, shape);
    if (room) memcpy(room, recorded, (size_t)n * sizeof *room);
    if (!status && !room) status = ap_fail(error, AP_DATA, "%s: %s does not fit into a batch", f->path, path);
    free(got);
    free(recorded);
    return status;
}

/* Training form: logits, losses, gradients, updated state. */
static ap_status run_training(fixture *f, ap_error *error) {
    ap_tape_begin(f->tape, &(ap_pass){.training = true,
                                      .wants_grad = true,
                                      .update_state = true,
                                      .gradients = f->gradients,
                                      .new_state = f->new_state});
    ap_tensor *logits = f->workload->forward(f->model, f->tape, &f->batch);
    ap_loss loss = f->workload->loss(f->model, f->tape, logits, &f->batch, &f->options);
    AP_TRY(ap_tape_status(f->tape, error));
    AP_TRY(ap_tape_backward(f->tape, error));

    /* Gradients are of summed; the fixture's are of summed / n_valid. */
    for (int64_t i = 0; i < ap_params_length(f->params); i++)
        f->gradients[i] = (float)((double)f->gradients[i] / loss.n_valid);
    AP_TRY(check_logits(f, "train_logits", logits, error));
    AP_TRY(check_output(f, "per_example_loss", loss.n, loss.per_example, of_loss, error));
    AP_TRY(check_number(f, "summed_loss", loss.summed, error));
    AP_TRY(check_number(f, "n_valid_examples", loss.n_valid, error));
    AP_TRY(check_number(f, "loss", loss.summed / loss.n_valid, error));
    char grads[NAME], grads_f64[NAME];
    snprintf(grads, sizeof grads, "%s/grads", f->where);
    snprintf(grads_f64, sizeof grads_f64, "%s/grads_f64", f->where);
    if (!*f->where || ap_h5_exists(f->file, grads)) AP_TRY(check_gradients(f, grads, grads_f64, error));
    if (ap_params_count(f->state) == 0 || *f->where) return AP_OK;
    return check_set(f, "state/updated", f->state, "/state/updated", "/state/updated_f64", f->new_state,
                     (allowance){.absolute = gradient_floor, .relative = limits_of(f).state}, error);
}

/* Some fixtures have the per-example loss in plainer forms: without smoothing, and without the mask too. */
static ap_status run_plain_loss(fixture *f, const char *name, bool masked, ap_error *error) {
    char path[NAME];
    snprintf(path, sizeof path, "/outputs/%s", name);
    if (!ap_h5_exists(f->file, path)) return AP_OK;
    ap_batch batch = f->batch; /* borrows the arrays */
    for (int i = 0; i < batch.arrays && !masked; i++)
        if (strcmp(batch.array[i].name, "weights") == 0) batch.array[i] = batch.array[--batch.arrays];
    ap_tape_begin(f->tape, &(ap_pass){.training = true});
    ap_tensor *logits = f->workload->forward(f->model, f->tape, &batch);
    ap_loss loss = f->workload->loss(f->model, f->tape, logits, &batch, &(ap_loss_options){0});
    AP_TRY(ap_tape_status(f->tape, error));
    return check_output(f, name, loss.n, loss.per_example, of_loss, error);
}

static ap_status check_example_metric(fixture *f, const ap_tensor *logits, ap_error *error) {
    const ap_workload *w = f->workload;
    char path[NAME];
    snprintf(path, sizeof path, "/outputs/%s", w->example_metric_name ? w->example_metric_name : "");
    if (!w->example_metric_name || !ap_h5_exists(f->file, path)) return AP_OK;
    float *values = ap_tape_take(f->tape, (size_t)f->batch.examples * sizeof *values);
    if (!values) return ap_tape_status(f->tape, error);
    w->example_metric(f->model, logits, &f->batch, values);
    return check_output(f, w->example_metric_name, f->batch.examples, values, of_loss, error);
}

/* Evaluation form, and the workload's own sums. */
static ap_status run_evaluation(fixture *f, ap_error *error) {
    const ap_workload *w = f->workload;
    double sums[AP_MAX_SUMS] = {0};
    ap_tape_begin(f->tape, &(ap_pass){.training = false});
    ap_tensor *logits = w->forward(f->model, f->tape, &f->batch);
    AP_TRY(ap_tape_status(f->tape, error));
    AP_TRY(check_logits(f, "eval_logits", logits, error));
    AP_TRY(check_example_metric(f, logits, error));
    w->evaluate(f->model, f->tape, logits, &f->batch, sums); /* the logits may be gone */
    AP_TRY(ap_tape_status(f->tape, error));
    for (int i = 0; i < w->sum_count; i++) {
        char path[2 * NAME];
        snprintf(path, sizeof path, "%s/outputs/%s", f->where, w->sum_names[i] ? w->sum_names[i] : "");
        if (w->sum_names[i] && ap_h5_exists(f->file, path)) AP_TRY(check_number(f, w->sum_names[i], sums[i], error));
    }
    return AP_OK;
}

/* An extra case may be of other options: attributes of its group `outputs`, label_smoothing or the model's. */
static ap_status read_extra_options(fixture *f, ap_error *error) {
    const ap_workload *w = f->workload;
    char group[2 * NAME];
    double smoothing;
    snprintf(group, sizeof group, "%s/outputs", f->where);
    if (ap_h5_has_attribute(f->file, group, "label_smoothing")) {
        AP_TRY(ap_h5_get_f64(f->file, group, "label_smoothing", &smoothing, error));
        f->options.label_smoothing = (float)smoothing;
    }
    for (size_t i = 0; i < w->option_count; i++) {
        const ap_option *o = &w->options[i];
        double value;
        char text[64];
        if (o->type != AP_OPTION_FLOAT || !ap_h5_has_attribute(f->file, group, o->name)) continue;
        AP_TRY(ap_h5_get_f64(f->file, group, o->name, &value, error));
        snprintf(text, sizeof text, "%.17g", value);
        AP_TRY(ap_options_set(w->options, w->option_count, o->name, text, f->path, f->model, error));
    }
    return AP_OK;
}

/* The numbers of a model's options, to be put back: an extra case changes no others. */
static void keep_numbers(const fixture *f, double *numbers, bool back) {
    for (size_t i = 0; i < f->workload->option_count; i++) {
        if (f->workload->options[i].type != AP_OPTION_FLOAT) continue;
        double *value = (double *)((char *)f->model + f->workload->options[i].offset);
        if (back)
            *value = numbers[i];
        else
            numbers[i] = *value;
    }
}

/* From here on with the state that the training pass left. */
static void use_new_state(fixture *f) {
    memcpy(ap_params_values(f->state), f->new_state, (size_t)ap_params_length(f->state) * sizeof(float));
    ap_params_changed(f->state);
}

/* Sequences found by search: groups of /extra whose members have `predicted`. */
static ap_status run_search(fixture *f, const fixture *extra, ap_error *error) {
    ap_search_check c = {.file = f->file,
                         .path = f->path,
                         .workload = f->workload,
                         .model = f->model,
                         .params = f->params,
                         .tape = f->tape,
                         .batch = &extra->batch};
    AP_TRY(ap_verify_search(&c, error));
    if (!c.cases) return AP_OK;
    f->searched = true;
    row *sequences = get_row(f, "sequences found"), *scores = get_row(f, "scores of sequences");
    *sequences = (row){.name = sequences->name,
                       .tensors = c.cases,
                       .share = c.wrong > 0 ? INFINITY : 0,
                       .error = c.wrong,
                       .error_f64 = NAN};
    *scores = (row){.name = scores->name,
                    .tensors = c.cases,
                    .share = c.score_error / of_loss.relative,
                    .error = c.score_error,
                    .allowed = of_loss.relative,
                    .error_f64 = NAN};
    snprintf(sequences->worst, sizeof sequences->worst, "%s", c.worst);
    snprintf(scores->worst, sizeof scores->worst, "%s", c.worst_score);
    return AP_OK;
}

/* A further pass on other inputs: groups of /extra with inputs, logits, losses and perhaps gradients of their own. */
static ap_status run_extra(fixture *f, const char *name, ap_error *error) {
    char where[NAME], part[2 * NAME];
    static const char *const needed[] = {"inputs/inputs", "outputs/train_logits", "outputs/loss"};
    snprintf(where, sizeof where, "/extra/%s", name);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        snprintf(part, sizeof part, "%s/%s", where, needed[i]);
        if (!ap_h5_exists(f->file, part)) return AP_OK;
    }
    fixture extra = *f; /* the same model; other inputs and rows */
    extra.where = where;
    extra.input_names = NULL, extra.inputs = 0;
    extra.batch = (ap_batch){0};
    extra.rows = 0;
    double numbers[MAX_OPTIONS];
    if (f->workload->option_count > MAX_OPTIONS) return ap_fail(error, AP_BUG, "more than %d options", MAX_OPTIONS);
    keep_numbers(f, numbers, false);
    ap_status status = read_batch(&extra, error);
    if (status == AP_OK) status = read_extra_options(&extra, error);
    if (status == AP_OK) status = run_front_end(&extra, error);
    if (status == AP_OK) status = run_training(&extra, error);
    snprintf(part, sizeof part, "%s/outputs/eval_logits", where);
    if (status == AP_OK && ap_h5_exists(f->file, part)) status = run_evaluation(&extra, error);
    if (status == AP_OK && f->workload->search && !f->searched) status = run_search(f, &extra, error);
    for (int i = 0; i < extra.rows && status == AP_OK; i++) {
        if (f->rows == MAX_ROWS) break;
        row *r = &f->row[f->rows++];
        *r = extra.row[i];
        snprintf(r->extra, sizeof r->extra, "%s", name);
    }
    keep_numbers(f, numbers, true);
    ap_batch_free(&extra.batch);
    if (extra.input_names) ap_h5_free_text(extra.inputs, extra.input_names);
    return status;
}

static ap_status run_extras(fixture *f, ap_error *error) {
    int64_t n;
    char **names;
    if (!ap_h5_exists(f->file, "/extra")) return AP_OK;
    AP_TRY(ap_h5_list(f->file, "/extra", &n, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; i < n && status == AP_OK; i++) status = run_extra(f, names[i], error);
    ap_h5_free_text(n, names);
    return status;
}

/* ---- report */

static void print_head(const fixture *f, ap_math math) {
    printf("%s: %s%s%s, %d parameters (%lld elements), %d state tensors, %lld examples; math = %s", f->path,
           f->workload->name, *f->variant ? "_" : "", f->variant, ap_params_count(f->params),
           (long long)ap_params_elements(f->params), ap_params_count(f->state), (long long)f->batch.examples,
           math == AP_MATH_BLAS ? "blas" : "ordered");
    printf(math == AP_MATH_BLAS ? " (%s)\n" : ", kernels = %s\n",
           math == AP_MATH_BLAS ? ap_blas_core() : ap_isa_name(ap_isa_current()));
    printf("model: ");
    for (size_t i = 0; i < f->workload->option_count; i++) {
        char text[256];
        ap_option_text(&f->workload->options[i], f->model, text, sizeof text);
        printf("%s%s = %s", i ? ", " : "", f->workload->options[i].name, text);
    }
    printf("; label_smoothing = %g\n", (double)f->options.label_smoothing);
    if (f->ignored[0]) printf("facts of config that are not options of the model: %s\n", f->ignored);
}

static bool passes(const row *r) {
    return r->share <= 1;
}

static void print_rows(const fixture *f) {
    printf("%-38s %10s %10s %12s  %-4s  %s\n", "", "error", "allowed", "vs float64", "", "worst tensor");
    for (int i = 0; i < f->rows; i++) {
        const row *r = &f->row[i];
        char name[NAME];
        snprintf(name, sizeof name, "%s%s%s", r->extra, *r->extra ? ": " : "", r->name);
        printf("%-38s %10.2e %10.2e ", name, r->error, r->allowed);
        if (isnan(r->error_f64))
            printf("%12s", "-");
        else
            printf("%12.2e", r->error_f64);
        printf("  %s", passes(r) ? "PASS" : "FAIL");
        if (r->tensors > 1) printf("  %s (of %d)", r->worst, r->tensors);
        printf("\n");
    }
}

/* Whether an output, or the float32 twin of a *_f64 one, has been compared. */
static bool is_compared(fixture *f, const char *name) {
    char plain[NAME];
    snprintf(plain, sizeof plain, "%s", name);
    size_t n = strlen(plain);
    if (n > 4 && strcmp(plain + n - 4, "_f64") == 0) plain[n - 4] = 0;
    return find_row(f, plain) != NULL;
}

/* Says which numbers of the file nobody looked at. */
static ap_status print_not_compared(fixture *f, ap_error *error) {
    static const char *const known[] = {"grads", "grads_f64", "inputs", "outputs", "params", "state", NULL};
    int64_t n;
    char **names;
    int said = 0;
    AP_TRY(ap_h5_list(f->file, "/outputs", &n, &names, error));
    for (int64_t i = 0; i < n; i++)
        if (!is_compared(f, names[i])) printf("%soutputs/%s", said++ ? ", " : "not compared: ", names[i]);
    ap_h5_free_text(n, names);
    AP_TRY(ap_h5_list(f->file, "/", &n, &names, error));
    for (int64_t i = 0; i < n; i++) {
        bool is_known = strcmp(names[i], "extra") == 0 && f->rows > 0 && *f->row[f->rows - 1].extra;
        for (int k = 0; known[k]; k++) is_known = is_known || strcmp(known[k], names[i]) == 0;
        if (!is_known) printf("%s%s", said++ ? ", " : "not compared: ", names[i]);
    }
    ap_h5_free_text(n, names);
    if (said) printf("\n");
    return AP_OK;
}

static ap_status verdict(const fixture *f, ap_error *error) {
    int failed = 0;
    const row *worst = NULL;
    for (int i = 0; i < f->rows; i++) {
        failed += !passes(&f->row[i]);
        if (!worst || f->row[i].share > worst->share) worst = &f->row[i];
    }
    printf("%s\n", failed ? "FAIL" : "PASS");
    if (!failed) return AP_OK;
    bool same = strcmp(worst->name, worst->worst) == 0;
    return ap_fail(error, AP_NUMERIC,
                   "%s: %d of %d groups are out of tolerance; the worst is %s%s%s: error %g, allowed %g", f->path,
                   failed, f->rows, worst->name, same ? "" : " of ", same ? "" : worst->worst, worst->error,
                   worst->allowed);
}

/* ---- the whole */

static ap_status verify(fixture *f, ap_math math, ap_error *error) {
    AP_TRY(check_workload(f, error));
    AP_TRY(read_model(f, error));
    AP_TRY(read_tensors(f, error));
    AP_TRY(read_batch(f, error));
    f->tape = ap_tape_create(f->params, f->state, math);
    if (!f->tape) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the tape");
    AP_TRY(run_front_end(f, error));
    AP_TRY(run_training(f, error));
    AP_TRY(run_plain_loss(f, "per_example_loss_no_smoothing", true, error));
    AP_TRY(run_plain_loss(f, "per_example_loss_no_mask_no_smoothing", false, error));
    use_new_state(f);
    AP_TRY(run_evaluation(f, error));
    AP_TRY(run_extras(f, error));
    print_head(f, math);
    print_rows(f);
    AP_TRY(print_not_compared(f, error));
    return verdict(f, error);
}

static void release(fixture *f) {
    ap_tape_destroy(f->tape);
    ap_batch_free(&f->batch);
    if (f->input_names) ap_h5_free_text(f->inputs, f->input_names);
    free(f->gradients);
    free(f->new_state);
    ap_params_destroy(f->state);
    ap_params_destroy(f->params);
    if (f->model) ap_options_free(f->workload->options, f->workload->option_count, f->model);
    free(f->model);
    ap_h5_close(f->file);
}

ap_status ap_verify_fixture(const ap_workload *workload, const char *variant, const char *path, ap_math math,
                            ap_error *error) {
    fixture f = {.workload = workload, .variant = variant, .path = path, .where = ""};
    AP_TRY(ap_h5_open(path, &f.file, error));
    ap_status status = verify(&f, math, error);
    release(&f);
    /* What the model or an operation found wrong does not know the file. */
    if (status != AP_OK && error && strncmp(error->text, path, strlen(path)) != 0) ap_context(error, "%s", path);
    return status;
}
