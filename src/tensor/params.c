#include "tensor/params.h"

#include "base/checked.h"
#include "base/pages.h"
#include "base/random.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16 }; /* floats: a cache line, and the lanes of an ordered sum */

/* A weight in the form ap_gemm likes. The layout belongs to an instruction set, so a forced change of that (tests) is a
 * change too. */
typedef struct packed_matrix {
    float *data;
    size_t capacity; /* floats */
    uint64_t version;
    ap_isa isa;
} packed_matrix;

/* What the digest sees of one tensor; no padding bytes. */
typedef struct digest_record {
    ap_digest name;
    int64_t rank, shape[AP_MAX_RANK];
    ap_digest values;
} digest_record;
_Static_assert(sizeof(digest_record) == 32 + 8 * (1 + AP_MAX_RANK), "the digest must not see padding");

struct ap_params {
    ap_param *param;
    int count, capacity, tables;
    int64_t length, gradient_length, elements;
    float *values;                            /* [length]; NULL before ap_params_allocate */
    packed_matrix (*packed)[AP_PACKED_FORMS]; /* [count] */
    digest_record *records;                   /* [count], scratch of the digest */
    uint64_t version;                         /* of the values; 0 = never packed */
};

/* ---- initialisers */

ap_init ap_init_constant(double value) {
    return (ap_init){AP_INIT_CONSTANT, value};
}
ap_init ap_init_uniform(double limit) {
    return (ap_init){AP_INIT_UNIFORM, limit};
}
ap_init ap_init_uniform_positive(double limit) {
    return (ap_init){AP_INIT_UNIFORM_POSITIVE, limit};
}
ap_init ap_init_uniform_fan_in(int64_t fan_in) {
    return ap_init_uniform(1 / sqrt((double)fan_in));
}
ap_init ap_init_lecun_truncated_normal(int64_t fan_in) {
    /* The divisor is the standard deviation of N(0, 1) truncated to [-2, 2]. */
    return (ap_init){AP_INIT_TRUNCATED_NORMAL, sqrt(1 / (double)fan_in) / 0.87962566103423978};
}
ap_init ap_init_xavier_uniform(int64_t fan_in, int64_t fan_out) {
    return ap_init_uniform(sqrt(6 / ((double)fan_in + (double)fan_out)));
}
ap_init ap_init_normal(double std) {
    return (ap_init){AP_INIT_NORMAL, std};
}

/* ---- names */

static bool has(const char *name, const char *part) {
    return strstr(name, part) != NULL;
}

static ap_param_type attention_type_of(const char *name) {
    if (has(name, "bias")) return AP_PARAM_ATTENTION_BIAS;
    if (has(name, "in_proj") || has(name, "qkv")) return AP_PARAM_ATTENTION_QKV;
    if (has(name, "kv_proj")) return AP_PARAM_ATTENTION_KV;
    if (has(name, "k_proj") || has(name, "key")) return AP_PARAM_ATTENTION_K;
    if (has(name, "q_proj") || has(name, "query")) return AP_PARAM_ATTENTION_Q;
    if (has(name, "v_proj") || has(name, "value")) return AP_PARAM_ATTENTION_V;
    if (has(name, "out") && has(name, "weight")) return AP_PARAM_ATTENTION_OUT;
    return AP_PARAM_WEIGHT;
}

ap_param_type ap_param_type_of(const char *name) {
    bool bias = has(name, "bias"), norm_bias = bias && !has(name, "weight") && !has(name, "scale");
    if (has(name, "bn")) return norm_bias ? AP_PARAM_BATCH_NORM_BIAS : AP_PARAM_BATCH_NORM_SCALE;
    if (has(name, "norm") || has(name, "ln")) return norm_bias ? AP_PARAM_LAYER_NORM_BIAS : AP_PARAM_LAYER_NORM_SCALE;
    if (has(name, "conv")) return bias ? AP_PARAM_BIAS : AP_PARAM_CONV_WEIGHT;
    if (has(name, "embed") && has(name, "weight")) return AP_PARAM_EMBEDDING;
    if (has(name, "attn") || has(name, "attention")) return attention_type_of(name);
    return bias ? AP_PARAM_BIAS : AP_PARAM_WEIGHT;
}

/* ---- life */

ap_params *ap_params_create(void) {
    ap_params *params = calloc(1, sizeof *params);
    if (params) params->version = 1;
    return params;
}

void ap_params_destroy(ap_params *params) {
    if (!params) return;
    for (int i = 0; i < params->count; i++) {
        free((char *)params->param[i].name);
        for (int form = 0; params->packed && form < AP_PACKED_FORMS; form++) free(params->packed[i][form].data);
    }
    free(params->packed);
    free(params->records);
    free(params->param);
    free(params->values);
    free(params);
}

static ap_status check_declaration(const ap_params *params, const char *name, int rank, const int64_t *shape,
                                   int64_t *size, ap_error *error) {
    if (params->values) return ap_fail(error, AP_BUG, "parameter %s is declared after the set was allocated", name);
    if (!*name) return ap_fail(error, AP_BUG, "parameter %d has an empty name", params->count);
    if (ap_params_find(params, name) >= 0) return ap_fail(error, AP_BUG, "parameter %s is declared twice", name);
    if (rank < 0 || rank > AP_MAX_RANK)
        return ap_fail(error, AP_BUG, "parameter %s has %d dimensions (0 to %d are possible)", name, rank, AP_MAX_RANK);
    for (int i = 0; i < rank; i++)
        if (shape[i] < 1)
            return ap_fail(error, AP_BUG, "parameter %s has extent %lld in dimension %d (must be at least 1)", name,
                           (long long)shape[i], i);
    int64_t limit = INT64_MAX / (int64_t)sizeof(float) - ALIGNMENT;
    if (!ap_shape_size(rank, shape, size) || *size > limit - params->length)
        return ap_fail(error, AP_CONFIG,
                       "with parameter %s the model has more elements than memory can address; "
                       "make its dimensions smaller",
                       name);
    return AP_OK;
}

static ap_status add(ap_params *params, const char *name, int rank, const int64_t *shape, ap_init init, bool table,
                     ap_error *error) {
    int64_t size = 0;
    AP_TRY(check_declaration(params, name, rank, shape, &size, error));
    if (params->count == params->capacity) {
        int capacity = params->capacity ? 2 * params->capacity : 32;
        ap_param *grown = realloc(params->param, (size_t)capacity * sizeof *grown);
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of parameters");
        params->param = grown, params->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of parameters");
    ap_param *param = &params->param[params->count++];
    *param = (ap_param){.name = copy,
                        .type = ap_param_type_of(name),
                        .rank = rank,
                        .size = size,
                        .offset = params->length,
                        .gradient_offset = params->gradient_length,
                        .table = table ? params->tables++ : -1,
                        .init = init};
    if (rank) memcpy(param->shape, shape, (size_t)rank * sizeof *shape);
    const int64_t room = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    params->length += room;
    if (!table) params->gradient_length += room;
    params->elements += size;
    return AP_OK;
}

ap_status ap_params_add(ap_params *params, const char *name, int rank, const int64_t *shape, ap_init init,
                        ap_error *error) {
    return add(params, name, rank, shape, init, false, error);
}

ap_status ap_params_add_table(ap_params *params, const char *name, int64_t rows, int64_t columns, ap_init init,
                              ap_error *error) {
    if (rows > INT32_MAX)
        return ap_fail(error, AP_CONFIG, "table %s has %lld rows (must be below 2^31); cut it into several", name,
                       (long long)rows);
    return add(params, name, 2, (int64_t[]){rows, columns}, init, true, error);
}

ap_status ap_params_allocate(ap_params *params, ap_error *error) {
    if (params->values) return ap_fail(error, AP_BUG, "the parameter set is allocated twice");
    size_t count = params->count ? (size_t)params->count : 1;
    size_t bytes = (params->length ? (size_t)params->length : ALIGNMENT) * sizeof(float);
    float *values = ap_pages_alloc(&bytes);
    packed_matrix(*packed)[AP_PACKED_FORMS] = calloc(count, sizeof *packed);
    digest_record *records = calloc(count, sizeof *records);
    if (!values || !packed || !records) {
        free(values), free(packed), free(records);
        return ap_fail(error, AP_ENVIRONMENT,
                       "out of memory for %lld parameters (%zu bytes); use a smaller model or a "
                       "machine with more memory",
                       (long long)params->elements, bytes);
    }
    memset(values, 0, bytes);
    params->values = values, params->packed = packed, params->records = records;
    return AP_OK;
}

static void initialise(const ap_param *param, uint64_t seed, int index, float *values) {
    ap_random stream = ap_random_stream(seed, AP_RANDOM_INIT, (uint64_t)index, 0);
    float value = (float)param->init.value;
    size_t n = (size_t)param->size;
    switch (param->init.kind) {
    case AP_INIT_CONSTANT:
        for (size_t i = 0; i < n; i++) values[i] = value;
        break;
    case AP_INIT_UNIFORM: ap_random_fill_uniform(&stream, 0, n, -value, 2 * value, values); break;
    case AP_INIT_UNIFORM_POSITIVE: ap_random_fill_uniform(&stream, 0, n, 0, value, values); break;
    case AP_INIT_NORMAL: ap_random_fill_normal(&stream, 0, n, 0, value, values); break;
    case AP_INIT_TRUNCATED_NORMAL: ap_random_fill_truncated_normal(&stream, 0, n, value, values); break;
    }
}

void ap_params_initialise(ap_params *params, uint64_t seed) {
    for (int i = 0; i < params->count; i++) initialise(&params->param[i], seed, i, ap_params_value(params, i));
    ap_params_changed(params);
}

/* ---- access */

int ap_params_count(const ap_params *params) {
    return params->count;
}
const ap_param *ap_params_get(const ap_params *params, int index) {
    assert(index >= 0 && index < params->count);
    return &params->param[index];
}
int ap_params_find(const ap_params *params, const char *name) {
    for (int i = 0; i < params->count; i++)
        if (strcmp(params->param[i].name, name) == 0) return i;
    return -1;
}
int64_t ap_params_elements(const ap_params *params) {
    return params->elements;
}
int64_t ap_params_length(const ap_params *params) {
    return params->length;
}
int64_t ap_params_gradient_length(const ap_params *params) {
    return params->gradient_length;
}
int ap_params_tables(const ap_params *params) {
    return params->tables;
}
float *ap_params_values(ap_params *params) {
    return params->values;
}
float *ap_params_value(ap_params *params, int index) {
    return params->values + ap_params_get(params, index)->offset;
}

/* ---- packed forms */

void ap_params_changed(ap_params *params) {
    params->version++;
}

const float *ap_params_packed_as(ap_params *params, int index, ap_packed_form form, size_t floats,
                                 ap_packer_function *pack, const void *context) {
    packed_matrix *packed = &params->packed[index][form];
    ap_isa isa = ap_isa_current();
    if (packed->version == params->version && packed->isa == isa) return packed->data;

    size_t bytes;
    if (floats > packed->capacity) {
        if (!ap_size_mul(floats, sizeof(float), &bytes)) return NULL;
        float *data = ap_pages_alloc(&bytes);
        if (!data) return NULL;
        free(packed->data);
        packed->data = data, packed->capacity = floats;
    }
    if (!pack(context, ap_params_value(params, index), packed->data)) return NULL;
    packed->version = params->version, packed->isa = isa;
    return packed->data;
}

size_t ap_params_packed_bytes(const ap_params *params) {
    size_t floats = 0;
    for (int i = 0; params->packed && i < params->count; i++)
        for (int form = 0; form < AP_PACKED_FORMS; form++) floats += params->packed[i][form].capacity;
    return floats * sizeof(float);
}

typedef struct matrix_form {
    bool transpose_b;
    int64_t k, n, columns;
} matrix_form;

static bool pack_matrix(const void *context, const float *values, float *packed) {
    const matrix_form *f = context;
    ap_gemm_pack_b(f->transpose_b, f->k, f->n, values, f->columns, packed);
    return true;
}

const float *ap_params_packed(ap_params *params, int index, bool transpose_b) {
    const ap_param *param = ap_params_get(params, index);
    int64_t rows = param->rank ? param->shape[0] : 1, columns = param->size / rows;
    matrix_form form = {transpose_b, transpose_b ? columns : rows, transpose_b ? rows : columns, columns};
    return ap_params_packed_as(params, index, transpose_b ? AP_PACKED_TRANSPOSED : AP_PACKED_MATRIX,
                               ap_gemm_packed_size(form.k, form.n), pack_matrix, &form);
}

/* ---- digest */

ap_digest ap_params_digest(const ap_params *params) {
    for (int i = 0; i < params->count; i++) {
        const ap_param *param = &params->param[i];
        digest_record *record = &params->records[i];
        record->name = ap_digest_of(param->name, strlen(param->name));
        record->rank = param->rank;
        memcpy(record->shape, param->shape, sizeof record->shape);
        record->values = ap_digest_of(params->values + param->offset, (size_t)param->size * sizeof(float));
    }
    return ap_digest_of(params->records, (size_t)params->count * sizeof *params->records);
}
