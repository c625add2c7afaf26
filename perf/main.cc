// The octavo program: what this machine can run, and how fast.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "perf/elementwise.h"
#include "perf/library.h"
#include "perf/options.h"
#include "perf/problem_parser.h"
#include "perf/text.h"
#include "perf/variants.h"

namespace oct::perf {
namespace {

constexpr const char* kBenchFooter =
    "Without a problem, the default models are measured (--list-models names them).\n"
    "Weights have one scale per output channel and are quantised symmetrically to the full range:\n"
    "the largest magnitude of every channel is 127.\n"
    "A convolution is keys and numbers: g groups, mb batch, ic and oc channels; for each axis d, "
    "h,\n"
    "w: i input size, o output size, k kernel, s stride, d dilation less one, p padding in front.\n"
    "An axis that is not mentioned is as the one before. ic64ih56oc64kh3ph1 is 3x3 over 56x56,\n"
    "g32ic32ih112oc32kh3sh2ph1 depthwise with stride 2, ic1iw16000oc512kw10sw5 one-dimensional;\n"
    "padding behind is as in front, or what an output size (oh112) needs. With a t in front the\n"
    "convolution is transposed: tic64ih28oc32kh2sh2 doubles an image's size.\n"
    "Columns: x is how often a layer occurs in its network; us is the median time of a call; GOPS\n"
    "counts two operations for each weight and output (transposed: input), padding included;\n"
    "% peak compares it with a loop of nothing but dot products on all threads; ratio is the\n"
    "median of peer time / our time "
    "over alternating blocks of calls: above 1, ours is faster. The peer computes depthwise "
    "layers\n"
    "in f32 too (ratio f32). With several threads, ours are at hand (oct_context_run), speed-up\n"
    "compares with one thread of ours, and\n"
    "line ns is how long a cache line goes to another thread and back, 50 to 100 within an L3 and\n"
    "350 to 400 beyond it on Zen 4 and 5, and cores how many times one thread's peak two have, 1 "
    "to\n"
    "2. Hosts move the cores of their guests about: rounds in which two threads were not on two "
    "cores\n"
    "of an L3 are done again, at most twice as many as count.";

constexpr double kMaxMinTime = 3600;

template <class T>
using Choices = std::vector<std::pair<std::string, T>>;

// An option whose value is one of the names of `choices`, shown in the help as "a|b|c".
template <class T, class Target>
CLI::Option* add_choice(CLI::App* app, const std::string& flag, Target& target,
                        const Choices<T>& choices, const std::string& help) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  const auto assign = [&target, choices](const std::string& chosen) {
    for (const auto& [name, value] : choices)
      if (name == chosen) target = value;
  };
  return app->add_option_function<std::string>(flag, assign, help)
      ->check(CLI::IsMember(names).description(""))
      ->type_name(joined(names, "|"));
}

// An option that may be repeated; sources keep the order of the command line.
void add_source(CLI::App* app, const std::string& flag, BenchOptions& options,
                ProblemSource::Kind kind, const std::string& type, const std::string& help) {
  app->add_option_function<std::string>(
         flag,
         [&options, kind](const std::string& text) {
           options.sources.push_back({kind, text});
         },
         help)
      ->trigger_on_parse()
      ->type_name(type)
      ->group("Problems");
}

Choices<Isa> isa_choices() {
  Choices<Isa> choices;
  for (int i = 1; i < kIsaCount; ++i) choices.emplace_back(kIsaNames[i], static_cast<Isa>(i));
  return choices;
}

void add_problem_options(CLI::App* app, BenchOptions& o, bool& list) {
  add_source(app, "--matmul", o, ProblemSource::kMatmul, "MxK:KxN",
             "A problem in benchdnn's syntax, also with n\"name*count\"; repeatable");
  add_source(app, "--conv", o, ProblemSource::kConv, "SPEC",
             "A convolution in benchdnn's syntax (below), also with n\"name*count\"; repeatable");
  add_source(app, "--batch", o, ProblemSource::kBatchFile, "FILE",
             "Problems from a file, # comments allowed; repeatable");
  add_source(app, "--model", o, ProblemSource::kModel, "NAME",
             "The products or convolutions of a model; repeatable");
  app->add_flag("--list-models", list, "List the models and their problems, and exit")
      ->group("Problems");
  app->add_option("--filter", o.filter, "Keep the problems whose name matches")
      ->type_name("REGEX")
      ->group("Problems");
}

void add_computation_options(CLI::App* app, BenchOptions& o) {
  CaseOptions& d = o.data;
  const char* group = "Computation";
  add_choice<DType>(app, "--src", d.src, {{"u8", DType::kU8}, {"s8", DType::kS8}},
                    "Type of the activations (default u8)")
      ->group(group);
  add_choice<DType>(app, "--dst", d.dst,
                    {{"u8", DType::kU8},
                     {"s8", DType::kS8},
                     {"s32", DType::kS32},
                     {"f32", DType::kF32},
                     {"bf16", DType::kBf16}},
                    "Type of the output C (default u8)")
      ->group(group);
  add_choice<int>(app, "--act-bits", d.act_bits, {{"7", 7}, {"8", 8}},
                  "7: A lies in 0..127 (s8: -64..63) and we declare it (default 8)")
      ->group(group);
  add_choice<bool>(app, "--relu", d.relu, {{"on", true}, {"off", false}},
                   "Fused ReLU (default: in convolutions)")
      ->group(group);
  add_choice<Weights>(app, "--weights", d.weights,
                      {{"gaussian", Weights::kGaussian},
                       {"laplace", Weights::kLaplace},
                       {"uniform", Weights::kUniform}},
                      "Distribution of weights before it is quantised (default gaussian)")
      ->group(group);
  app->add_option("--a-zp", d.a_zero_point, "Zero point of A (default 0)")
      ->type_name("Z")
      ->group(group);
  app->add_option("--c-zp", d.c_zero_point, "Zero point of C, if u8 or s8 (default 0)")
      ->type_name("Z")
      ->group(group);
  app->add_option("--seed", d.seed, "Seed of the random operands (default 1)")
      ->type_name("N")
      ->group(group);
}

void add_execution_options(CLI::App* app, BenchOptions& o) {
  const char* group = "Execution";
  add_choice<Isa>(app, "--isa", o.isa, isa_choices(),
                  "No instruction set above this, for the peer too")
      ->group(group);
  app->add_option("--kernel", o.kernel, "Force one of our kernels (octavo info lists them)")
      ->type_name("NAME")
      ->group(group);
  app->add_option("--threads", o.threads, "Threads of each side; 0: one per core (default 1)")
      ->check(CLI::Range(0, 1024).description(""))
      ->type_name("N")
      ->group(group);
  app->add_option("--peer", o.peer,
                  "Whom to compare with (default onednn, if built in). saturating: what our own\n"
                  "exact kernels without VNNI give up for exactness")
      ->check(CLI::IsMember({"onednn", "saturating", "none"}).description(""))
      ->type_name("onednn|saturating|none")
      ->group(group);
  app->add_flag("--peer-f32", o.peer_f32,
                "Compare all convolutions with the peer's f32, not only depthwise ones")
      ->group(group);
  app->add_option("--min-time", o.min_time_s, "Seconds of timing per side and problem (default 1)")
      ->type_name("SECONDS")
      ->group(group);
  app->add_flag("--elementwise", o.elementwise,
                "Time quantise, dequantise, requantise and min-max instead")
      ->group(group);
  app->add_flag("--variants", o.variants,
                "Time dynamic A, weights with zero points and with groups beside products without")
      ->group(group);
  app->add_flag("--creation", o.creation,
                "Time the creation of plans instead, also all of a network: the first, and again")
      ->group(group);
}

void add_output_options(CLI::App* app, BenchOptions& o) {
  const char* group = "Output";
  add_choice<Format>(app, "--format", o.format,
                     {{"table", Format::kTable}, {"json", Format::kJson}, {"csv", Format::kCsv}},
                     "Form of the report (default table)")
      ->group(group);
  app->add_option("--out", o.out, "Write the report to a file, whole or not at all")
      ->type_name("FILE")
      ->group(group);
  app->add_flag("--summary", o.summary, "Only the totals of a table, not each problem")
      ->group(group);
  app->add_flag("--explain", o.explain,
                "Add why each kernel was chosen (not with csv or --creation)")
      ->group(group);
}

void check_options(const BenchOptions& o) {
  if (!(o.min_time_s >= 0 && o.min_time_s <= kMaxMinTime))
    throw UsageError(fmt::format("--min-time {}: not in 0 .. {}", o.min_time_s, kMaxMinTime));
  if (o.explain && (o.format == Format::kCsv || o.creation))
    throw UsageError("--explain goes with neither --format csv nor --creation");
  if (o.summary && (o.format != Format::kTable || o.creation || o.explain))
    throw UsageError("--summary goes with --format table only, without --creation or --explain");
}

// A shape as MxK:KxN.
void add_shape(CLI::App* app, GemmShape& shape, const std::string& help) {
  app->add_option_function<std::string>(
         "--matmul",
         [&shape](const std::string& text) {
           shape = std::get<GemmShape>(parse_matmul(text).shape);
         },
         help)
      ->type_name("MxK:KxN");
}

CLI::App* add_post(CLI::App& app, PostOptions& o) {
  CLI::App* post = app.add_subcommand(
      "post", "What each fused post-operation costs, in per cent of the product without one");
  add_shape(post, o.shape, "The product (default 128x768:768x3072)");
  add_choice<Isa>(post, "--isa", o.isa, isa_choices(), "No instruction set above this");
  post->add_option("--min-time", o.min_time_s, "Seconds of timing per operation (default 1)")
      ->check(CLI::Range(0.0, kMaxMinTime).description(""))
      ->type_name("SECONDS");
  return post;
}

CLI::App* add_quantize_error(CLI::App& app, QuantizeErrorOptions& o) {
  CLI::App* error = app.add_subcommand(
      "quantize-error", "The accuracy of a linear layer in int8, by scheme and observer");
  error->footer(
      "Activations [..., K] and weights [N, ...] are float32 .npy files, or random. Both are\n"
      "quantised, multiplied and compared with the product in binary64. SQNR is the power of the\n"
      "output over that of the error; the largest error is in units of the output's root mean\n"
      "square. Moving averages, histograms and the others see the activations in eight batches;\n"
      "dynamic activations are quantised call by call.");
  error->add_option("--activations", o.activations, "Activations, [..., K]")->type_name("FILE.npy");
  error->add_option("--weights", o.weights, "Weights, [N, ...]")->type_name("FILE.npy");
  add_shape(error, o.shape, "What is drawn without files (default 256x768:768x768)");
  add_choice<Distribution>(error, "--distribution", o.distribution,
                           {{"gaussian", Distribution::kGaussian},
                            {"relu", Distribution::kRelu},
                            {"outliers", Distribution::kOutliers}},
                           "Random activations: normal, their positive part, or with one in a "
                           "thousand 20 times as large (default)");
  error->add_option("--seed", o.seed, "Seed of what is random (default 1)")->type_name("N");
  error->add_option("--plot", o.plot, "Write a picture, too")->type_name("FILE.svg");
  return error;
}

int exit_code_of(oct_status status) {
  switch (status) {
    case OCT_UNSUPPORTED_CPU: return kExitUnsupportedCpu;
    case OCT_INVALID_ARGUMENT:
    case OCT_UNSUPPORTED: return kExitBadInput;
    default: return kExitFailed;
  }
}

int run_program(int argc, char** argv) {
  CLI::App app{
      "INT8 matrix multiplication and convolution: what this machine can run, and how fast.",
      "octavo"};
  app.set_version_flag("--version", oct_version());
  app.require_subcommand(0, 1);
  app.footer(
      "Exit status: 0 success, 1 wrong result or failure of the system, 2 bad input,\n"
      "3 the CPU has no usable instruction set.");

  InfoOptions info_options;
  CLI::App* info = app.add_subcommand("info", "Describe the CPU, the usable ISAs and the kernels");
  info->add_flag("--json", info_options.json, "As JSON");

  BenchOptions bench_options;
  bool list = false;
  CLI::App* bench = app.add_subcommand(
      "bench", "Time products and convolutions against a peer, after checking the results.");
  bench->footer(kBenchFooter);
  add_problem_options(bench, bench_options, list);
  add_computation_options(bench, bench_options);
  add_execution_options(bench, bench_options);
  add_output_options(bench, bench_options);

  PostOptions post_options;
  const CLI::App* post = add_post(app, post_options);
  QuantizeErrorOptions error_options;
  const CLI::App* error = add_quantize_error(app, error_options);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // help or version
    throw UsageError(fmt::format("{} (--help lists the options)", error.what()));
  }
  if (info->parsed()) return run_info(info_options);
  if (post->parsed()) return run_post(post_options);
  if (error->parsed()) return run_quantize_error(error_options);
  if (!bench->parsed())
    throw UsageError("say what to do: info, bench, post or quantize-error (--help explains)");
  if (list) return list_models();
  check_options(bench_options);
  if (bench_options.elementwise) return run_elementwise_bench(bench_options);
  return bench_options.variants ? run_variants_bench(bench_options) : run_bench(bench_options);
}

}  // namespace
}  // namespace oct::perf

int main(int argc, char** argv) {
  using namespace oct::perf;
  const auto report = [](const char* message) { fmt::print(stderr, "octavo: {}\n", message); };
  try {
    return run_program(argc, argv);
  } catch (const UsageError& error) {
    report(error.what());
    return kExitBadInput;
  } catch (const LibraryError& error) {
    report(error.what());
    return exit_code_of(error.status);
  } catch (const std::bad_alloc&) {
    report("out of memory");
    return kExitFailed;
  } catch (const std::exception& error) {
    report(error.what());
    return kExitFailed;
  }
}
