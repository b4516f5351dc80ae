// The `gopher` program. Exit codes: 0 fine, 1 failure, 2 a wrong command line or a device that is not there.
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/version.hpp>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/options.hpp"

namespace gopher {
namespace {

constexpr Command commands[] = {
    {"train", "train a language model on text, from a laptop's minutes to the paper's 280B", run_train},
    {"generate", "let a trained model continue a text", run_generate},
    {"info", "count a model's parameters, bytes and FLOPs; list the presets; describe this machine",
     run_info},
    {"plan", "predict memory, messages and time of a run on many devices, and find the best mesh", run_plan},
    {"tokenizer", "train a tokenizer, encode text to tokens, decode tokens to text", run_tokenizer},
};

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments.front() == "--version") {
    std::cout << "gopher " << burrow::version << '\n';
    return 0;
  }
  return dispatch("gopher", "the Gopher language models (arXiv 2112.11446): train, generate, count.",
                  commands, arguments);
}

int complain(const char* message, int code) {
  std::cout.flush();
  std::cerr << "gopher: " << message << '\n';
  return code;
}

}  // namespace
}  // namespace gopher

int main(int count, char** arguments) {
  try {
    const int code = gopher::run({arguments + (count > 0 ? 1 : 0), arguments + count});
    if (std::cout.flush()) return code;
    return gopher::complain("standard output cannot be written; is the disk full?", 1);
  } catch (const gopher::UsageError& error) {
    return gopher::complain(error.what(), 2);
  } catch (const burrow::NoDeviceError& error) {
    return gopher::complain(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return gopher::complain("there is not enough memory; a smaller model or micro_batch needs less.", 1);
  } catch (const std::exception& error) {
    return gopher::complain(error.what(), 1);
  }
}
