// Training steps of llm.c's CPU program on random tokens with a random model, of any size and context: its main
// trains a downloaded checkpoint on 64 tokens. Compile it in a checkout of llm.c, as benchmarks/compare does:
//   gcc -Ofast -march=native -fopenmp -DOMP -I. llm_c_step.c -o llm_c_step -lm
// Usage: llm_c_step LAYERS WIDTH HEADS VOCABULARY CONTEXT STEPS; prints one line of JSON.
#define TESTING
#include "train_gpt2.c"

#include <sys/resource.h>

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int count, char **arguments) {
  if (count != 7) {
    fprintf(stderr, "llm_c_step LAYERS WIDTH HEADS VOCABULARY CONTEXT STEPS\n");
    return 2;
  }
  GPT2 model;
  memset(&model, 0, sizeof(model));
  model.config.num_layers = atoi(arguments[1]);
  model.config.channels = atoi(arguments[2]);
  model.config.num_heads = atoi(arguments[3]);
  model.config.vocab_size = atoi(arguments[4]);
  model.config.max_seq_len = atoi(arguments[5]);
  model.config.padded_vocab_size = (model.config.vocab_size + 127) / 128 * 128;
  const int context = model.config.max_seq_len, steps = atoi(arguments[6]);

  fill_in_parameter_sizes(model.param_sizes, model.config);
  for (int i = 0; i < NUM_PARAMETER_TENSORS; ++i) model.num_parameters += model.param_sizes[i];
  model.params_memory = malloc_and_point_parameters(&model.params, model.param_sizes);
  for (size_t i = 0; i < model.num_parameters; ++i)
    model.params_memory[i] = 0.07f * ((float)rand() / (float)RAND_MAX - 0.5f);
  int *tokens = malloc(sizeof(int) * (size_t)(context + 1));
  for (int i = 0; i <= context; ++i) tokens[i] = rand() % model.config.vocab_size;

  double *times = malloc(sizeof(double) * (size_t)steps);
  for (int step = 0; step <= steps; ++step) {  // the first one allocates and does not count
    const double begin = now();
    gpt2_forward(&model, tokens, tokens + 1, 1, (size_t)context);
    gpt2_zero_grad(&model);
    gpt2_backward(&model);
    gpt2_update(&model, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.1f, step + 1);
    if (step > 0) times[step - 1] = now() - begin;
  }
  qsort(times, (size_t)steps, sizeof(double), by_value);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"tokens_per_second\": %f, \"peak_mib\": %f, \"loss\": %f}\n", context / times[steps / 2],
         (double)usage.ru_maxrss / 1024, (double)model.mean_loss);
  return 0;
}
