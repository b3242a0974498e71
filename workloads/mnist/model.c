/* The mnist model: flatten, linear 784 -> 128, sigmoid, linear 128 -> 10; softmax cross-entropy; accuracy. */
#include "workloads/mnist/mnist.h"

#include <string.h>

const ap_option ap_mnist_options[ap_mnist_option_count] = {
    {.name = "input",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_mnist_model, input),
     .min = 1,
     .max = 1 << 20,
     .fallback = "784",
     .help = "values an image; the data sets' images have 784 = 28 x 28"},
    {.name = "hidden",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_mnist_model, hidden),
     .min = 1,
     .max = 1 << 20,
     .fallback = "128",
     .help = "width of the hidden layer"},
    {.name = "classes",
     .type = AP_OPTION_INT,
     .offset = offsetof(ap_mnist_model, classes),
     .min = 2,
     .max = 1 << 20,
     .fallback = "10",
     .help = "number of classes"},
    {.name = "pixel_max",
     .type = AP_OPTION_FLOAT,
     .offset = offsetof(ap_mnist_model, pixel_max),
     .min = 1,
     .max = 255,
     .fallback = "1",
     .help = "pixels 0..255 are divided by it and then normalised; published: 1, no division"},
    {.name = "init",
     .type = AP_OPTION_STRING,
     .offset = offsetof(ap_mnist_model, init),
     .choices = (const char *const[]){"pytorch", "lecun", NULL},
     .fallback = "pytorch",
     .help = "initialisation: pytorch = uniform by fan-in, biases too; lecun = truncated normal, zero biases"},
};

static ap_status define_linear(const ap_mnist_model *model, ap_params *params, const char *weight, const char *bias,
                               int64_t out, int64_t in, ap_error *error) {
    bool lecun = strcmp(model->init, "lecun") == 0;
    AP_TRY(ap_params_add(params, weight, 2, (int64_t[]){out, in},
                         lecun ? ap_init_lecun_truncated_normal(in) : ap_init_uniform_fan_in(in), error));
    return ap_params_add(params, bias, 1, &out, lecun ? ap_init_constant(0) : ap_init_uniform_fan_in(in), error);
}

ap_status ap_mnist_define(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    const ap_mnist_model *m = model;
    (void)state; /* no running statistics */
    AP_TRY(define_linear(m, params, "net.layer1.weight", "net.layer1.bias", m->hidden, m->input, error));
    return define_linear(m, params, "net.layer2.weight", "net.layer2.bias", m->classes, m->hidden, error);
}

ap_tensor *ap_mnist_forward(const void *model, ap_tape *tape, const ap_batch *batch) {
    const ap_mnist_model *m = model;
    const ap_array *images = ap_batch_find(batch, "inputs");
    if (!images || images->type != AP_F32 || images->rank < 1 || images->size != images->shape[0] * m->input)
        return ap_tape_fail_as(tape, AP_DATA,
                               "mnist: the batch needs `inputs`, float32, with %lld values an example"
                               " (model option `input`)",
                               (long long)m->input);
    ap_tensor *x = ap_tape_input(tape, images->data, 2, (int64_t[]){images->shape[0], m->input});
    ap_tensor *h = ap_sigmoid(tape, ap_linear(tape, x, ap_tape_param(tape, 0), ap_tape_param(tape, 1)));
    return ap_linear(tape, h, ap_tape_param(tape, 2), ap_tape_param(tape, 3));
}
