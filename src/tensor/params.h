/* Parameter set: the model's tensors under their published names, in one flat array.
 *
 * Also used for model state (running statistics). Every tensor starts at a multiple of 16 floats; the gap is zero and
 * stays zero. Not thread-safe, not collective. */
#ifndef AP_TENSOR_PARAMS_H
#define AP_TENSOR_PARAMS_H

#include "base/digest.h"
#include "base/param_type.h"
#include "base/status.h"
#include <stdint.h>

enum { AP_MAX_RANK = 6 };

/* How a tensor is initialised (workloads/README, "Conventions"). */
typedef struct ap_init {
    enum {
        AP_INIT_CONSTANT,         /* value */
        AP_INIT_UNIFORM,          /* U(-value, value) */
        AP_INIT_UNIFORM_POSITIVE, /* U(0, value) */
        AP_INIT_NORMAL,           /* N(0, value^2) */
        AP_INIT_TRUNCATED_NORMAL, /* N(0, value^2) resampled into [-2 value, 2 value] */
    } kind;
    double value;
} ap_init;
ap_init ap_init_constant(double value);
ap_init ap_init_uniform(double limit);
ap_init ap_init_uniform_positive(double limit);         /* U(0, limit) */
ap_init ap_init_uniform_fan_in(int64_t fan_in);         /* U(+-1/sqrt(fan_in)): PyTorch's default for linear layers */
ap_init ap_init_lecun_truncated_normal(int64_t fan_in); /* s = sqrt(1/fan_in) / 0.87962566103423978, truncated at 2 s */
ap_init ap_init_xavier_uniform(int64_t fan_in, int64_t fan_out);
ap_init ap_init_normal(double std);

typedef struct ap_param {
    const char *name; /* owned by the set */
    ap_param_type type;
    int rank;
    int64_t shape[AP_MAX_RANK];
    int64_t size;   /* elements */
    int64_t offset; /* in floats, into the flat arrays */
    int table;      /* index among the tables, or -1: not a table */
    ap_init init;
    int64_t gradient_offset; /* in floats, into a flat gradient in which tables take no room */
} ap_param;

typedef struct ap_params ap_params;

ap_params *ap_params_create(void); /* NULL when out of memory */
void ap_params_destroy(ap_params *params);

/* Declares the next tensor. The type comes from the name by the benchmark's rule (ap_param_type_of). Copies name and
 * shape; rank 0 is a scalar. Before ap_params_allocate only. AP_BUG: empty or repeated name, rank above AP_MAX_RANK, an
 * extent below 1. AP_CONFIG: more elements than a file offset can count. */
ap_status ap_params_add(ap_params *params, const char *name, int rank, const int64_t *shape, ap_init init,
                        ap_error *error);
/* The same for a table [rows, columns] of which a step looks up a few rows: its gradient is a list of rows (rows.h)
 * wherever a pass asks for that. AP_CONFIG: 2^31 rows or more. */
ap_status ap_params_add_table(ap_params *params, const char *name, int64_t rows, int64_t columns, ap_init init,
                              ap_error *error);
/* workloads/README, "Parameter types", by substrings of the name. Where the published code raises an error (a norm
 * without weight, scale or bias; an attention tensor that no line names) this gives the scale, and WEIGHT. */
ap_param_type ap_param_type_of(const char *name);

/* Allocates the values (zero). Once; AP_ENVIRONMENT when out of memory. */
ap_status ap_params_allocate(ap_params *params, ap_error *error);
/* Fills values from the initialisers; random numbers keyed by (seed, AP_RANDOM_INIT, parameter index, element). */
void ap_params_initialise(ap_params *params, uint64_t seed);

int ap_params_count(const ap_params *params);
const ap_param *ap_params_get(const ap_params *params, int index);
int ap_params_find(const ap_params *params, const char *name); /* -1: not there */
int64_t ap_params_elements(const ap_params *params);           /* without gaps: the published parameter count */
int64_t ap_params_length(const ap_params *params);             /* floats in the flat arrays, with gaps */
int64_t ap_params_gradient_length(const ap_params *params);    /* the same without tables */
int ap_params_tables(const ap_params *params);
float *ap_params_values(ap_params *params); /* the flat array; borrowed. Who writes calls ap_params_changed */
float *ap_params_value(ap_params *params, int index);

/* Packed forms of weights are cached until the values change. */
void ap_params_changed(ap_params *params);
/* Tensor `index` in the form that `pack` makes of it (`floats` of them, context as given); made on first use after a
 * change, in memory that is kept. NULL if it cannot be allocated or packed (callers then use the plain weights, which
 * gives the same bits). A tensor has one maker for each form. */
typedef enum ap_packed_form {
    AP_PACKED_MATRIX,
    AP_PACKED_TRANSPOSED,
    AP_PACKED_CONV,
    AP_PACKED_CONV_BACKWARD,
    AP_PACKED_WINOGRAD,
    AP_PACKED_WINOGRAD_BACKWARD,
    AP_PACKED_FORMS
} ap_packed_form;
typedef bool ap_packer_function(const void *context, const float *values, float *packed);
const float *ap_params_packed_as(ap_params *params, int index, ap_packed_form form, size_t floats,
                                 ap_packer_function *pack, const void *context);
/* Memory of all packed forms so far. */
size_t ap_params_packed_bytes(const ap_params *params);
/* Tensor `index`, seen as a [rows, columns] matrix (rows = shape[0]), packed as operand B of ap_gemm (transposed or
 * not). */
const float *ap_params_packed(ap_params *params, int index, bool transpose_b);

/* The "parameter digest" of the records: XXH3-128 over one record a tensor, in order, of 16 bytes XXH3-128 of the name,
 * int64 rank, int64 shape[AP_MAX_RANK] (0 behind the rank), 16 bytes XXH3-128 of the values (without gaps). Allocates
 * nothing. */
ap_digest ap_params_digest(const ap_params *params);

#endif
