#include "cli/bench_onednn.h"

#ifndef AP_HAVE_DNNL

ap_onednn *ap_onednn_create(const ap_conv *conv, ap_conv_pass pass, bool channels_last, const char **why) {
    (void)conv, (void)pass, (void)channels_last;
    *why = "this program was built without its headers (libdnnl-dev 2.x)";
    return NULL;
}
bool ap_onednn_run(ap_onednn *conv) {
    (void)conv;
    return false;
}
void ap_onednn_destroy(ap_onednn *conv) {
    (void)conv;
}

#else

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

/* The functions that are used, as pointers of their own types. */
#define FUNCTIONS(X)                                                                                                   \
    X(engine_create)                                                                                                   \
    X(stream_create)                                                                                                   \
    X(stream_wait) X(memory_create) X(memory_destroy) X(memory_get_data_handle) X(memory_desc_init_by_tag)             \
        X(memory_desc_get_size) X(convolution_forward_desc_init) X(convolution_backward_data_desc_init)                \
            X(convolution_backward_weights_desc_init) X(primitive_desc_create) X(primitive_desc_destroy)               \
                X(primitive_desc_query_md) X(primitive_create) X(primitive_destroy) X(primitive_execute)
static struct {
#define POINTER(name) __typeof__(dnnl_##name) *name;
    FUNCTIONS(POINTER)
#undef POINTER
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    bool tried, there;
} dnnl;

static bool load(void) {
    if (dnnl.tried) return dnnl.there;
    dnnl.tried = true;
    void *library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads"); /* it takes OpenMP's default otherwise */
    void (*set_threads)(int) = NULL;
    if (symbol) {
        memcpy(&set_threads, &symbol, sizeof symbol);
        set_threads(1);
    }
#define FIND(name)                                                                                                     \
    symbol = dlsym(library, "dnnl_" #name);                                                                            \
    if (!symbol) return false;                                                                                         \
    memcpy(&dnnl.name, &symbol, sizeof symbol);
    FUNCTIONS(FIND)
#undef FIND
    dnnl.there = dnnl.engine_create(&dnnl.engine, dnnl_cpu, 0) == dnnl_success &&
                 dnnl.stream_create(&dnnl.stream, dnnl.engine, dnnl_stream_default_flags) == dnnl_success;
    return dnnl.there;
}

struct ap_onednn {
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[3]; /* images, weights, output */
    dnnl_exec_arg_t arguments[3];
};

typedef struct shapes {
    dnnl_memory_desc_t x, y, w;
    dnnl_dims_t strides, before, behind;
} shapes;

static shapes shapes_of(const ap_conv *v, bool channels_last) {
    const dnnl_dims_t x = {v->n, v->c, v->h, v->w}, y = {v->n, v->k, v->oh, v->ow}, w = {v->k, v->c, v->r, v->s};
    shapes s = {.strides = {v->stride_h, v->stride_w},
                .before = {v->pad_top, v->pad_left},
                .behind = {(v->oh - 1) * v->stride_h + v->r - v->h - v->pad_top,
                           (v->ow - 1) * v->stride_w + v->s - v->w - v->pad_left}};
    const dnnl_format_tag_t tag = channels_last ? dnnl_nhwc : dnnl_format_tag_any;
    dnnl.memory_desc_init_by_tag(&s.x, 4, x, dnnl_f32, tag);
    dnnl.memory_desc_init_by_tag(&s.y, 4, y, dnnl_f32, tag);
    dnnl.memory_desc_init_by_tag(&s.w, 4, w, dnnl_f32, dnnl_format_tag_any);
    return s;
}

/* The descriptor of the pass; the forward one is its hint. */
static bool describe(const shapes *s, ap_conv_pass pass, dnnl_primitive_desc_t *hint, dnnl_primitive_desc_t *pd) {
    dnnl_convolution_desc_t d;
    dnnl.convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &s->x, &s->w, NULL, &s->y,
                                       s->strides, s->before, s->behind);
    if (dnnl.primitive_desc_create(hint, &d, NULL, dnnl.engine, NULL) != dnnl_success) return false;
    *pd = *hint;
    if (pass == AP_CONV_FORWARD) return true;
    if (pass == AP_CONV_DATA)
        dnnl.convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &s->x, &s->w, &s->y, s->strides,
                                                 s->before, s->behind);
    else
        dnnl.convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &s->x, &s->w, NULL, &s->y, s->strides,
                                                    s->before, s->behind);
    return dnnl.primitive_desc_create(pd, &d, NULL, dnnl.engine, *hint) == dnnl_success;
}

static bool allocate(ap_onednn *c, dnnl_primitive_desc_t pd, ap_conv_pass pass) {
    const dnnl_query_t queries[3] = {pass == AP_CONV_DATA ? dnnl_query_diff_src_md : dnnl_query_src_md,
                                     pass == AP_CONV_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md,
                                     pass == AP_CONV_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md};
    const int ids[3] = {pass == AP_CONV_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
                        pass == AP_CONV_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
                        pass == AP_CONV_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST};
    for (int i = 0; i < 3; i++) {
        const dnnl_memory_desc_t *md = dnnl.primitive_desc_query_md(pd, queries[i], 0);
        void *data;
        if (!md || dnnl.memory_create(&c->memory[i], md, dnnl.engine, DNNL_MEMORY_ALLOCATE) != dnnl_success ||
            dnnl.memory_get_data_handle(c->memory[i], &data) != dnnl_success)
            return false;
        for (size_t k = 0; k < dnnl.memory_desc_get_size(md) / sizeof(float); k++)
            ((float *)data)[k] = (float)(k % 251) / 251 - 0.5f;
        c->arguments[i] = (dnnl_exec_arg_t){ids[i], c->memory[i]};
    }
    return true;
}

ap_onednn *ap_onednn_create(const ap_conv *conv, ap_conv_pass pass, bool channels_last, const char **why) {
    *why = "libdnnl.so.2 cannot be loaded";
    if (!load()) return NULL;
    *why = "it refused the convolution";
    ap_onednn *c = calloc(1, sizeof *c);
    const shapes s = shapes_of(conv, channels_last);
    dnnl_primitive_desc_t hint = NULL, pd = NULL;
    bool made = c && describe(&s, pass, &hint, &pd) && dnnl.primitive_create(&c->primitive, pd) == dnnl_success &&
                allocate(c, pd, pass);
    if (pd && pd != hint) dnnl.primitive_desc_destroy(pd);
    if (hint) dnnl.primitive_desc_destroy(hint);
    if (made) return c;
    ap_onednn_destroy(c);
    return NULL;
}

bool ap_onednn_run(ap_onednn *c) {
    return dnnl.primitive_execute(c->primitive, dnnl.stream, 3, c->arguments) == dnnl_success &&
           dnnl.stream_wait(dnnl.stream) == dnnl_success;
}

void ap_onednn_destroy(ap_onednn *c) {
    if (!c) return;
    for (int i = 0; i < 3; i++)
        if (c->memory[i]) dnnl.memory_destroy(c->memory[i]);
    if (c->primitive) dnnl.primitive_destroy(c->primitive);
    free(c);
}

#endif
