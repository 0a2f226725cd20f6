// The door to Python: sizes and addresses in, nothing out.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "kernels.h"
#include "stream.h"

namespace nb = nanobind;
using recurra::Cell;
using recurra::Kernels;
using recurra::Logits;
using recurra::Plan;
using recurra::Scan;
using recurra::Stream;
using recurra::Work;

namespace recurra {

namespace avx512 {
Kernels kernels();
}
namespace avx2 {
Kernels kernels();
}
namespace portable {
Kernels kernels();
}

std::vector<Kernels> supported_kernels() {
  std::vector<Kernels> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) found.push_back(avx512::kernels());
  if (__builtin_cpu_supports("x86-64-v3")) found.push_back(avx2::kernels());
#endif
  found.push_back(portable::kernels());
  return found;
}

}  // namespace recurra

namespace {

template <class Type, class P>
void address(nb::class_<Type>& type, const char* name, P Type::* pointer) {
  type.def_prop_rw(
      name, [pointer](const Type& t) { return reinterpret_cast<std::uintptr_t>(t.*pointer); },
      [pointer](Type& t, std::uintptr_t value) { t.*pointer = reinterpret_cast<P>(value); });
}

// A plan as a caller can look at it: what each thread would take.
struct ThreadPlan {
  using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;  // first and one past the last

  Work work;
  Plan plan;

  // Panels of each pass of a step.
  std::vector<std::int64_t> panels() const { return {work.panels, work.panels + work.num_passes}; }

  // Blocks of rows of a thread.
  Ranges rows_of(int rank) const {
    Ranges found;
    const int share = recurra::place_of(plan, rank).row_share;
    for (std::int64_t b = share; b < plan.row_blocks; b += plan.row_shares) {
      const recurra::Range rows = recurra::row_block(plan, b);
      found.emplace_back(rows.begin, rows.end);
    }
    return found;
  }

  // Its panels in each pass.
  Ranges panels_of(int rank) const {
    Ranges found;
    const int share = recurra::place_of(plan, rank).panel_share;
    for (int pass = 0; pass < work.num_passes; ++pass) {
      const recurra::Range ours = recurra::share_of(work.panels[pass], share, plan.panel_shares);
      found.emplace_back(ours.begin, ours.end);
    }
    return found;
  }
};

template <class... Options>
using Array = nb::ndarray<Options..., nb::c_contig, nb::device::cpu>;

}  // namespace

NB_MODULE(kernels, m) {
  nb::set_leak_warnings(false);  // tables of kernels live as long as the process
  m.doc() = "Recurrent layers on the CPU. Addresses are those of contiguous memory that outlives the call.";

  nb::enum_<Cell>(m, "Cell")
      .value("rnn_tanh", Cell::rnn_tanh)
      .value("rnn_relu", Cell::rnn_relu)
      .value("rnn_sigmoid", Cell::rnn_sigmoid)
      .value("lstm", Cell::lstm)
      .value("gru", Cell::gru)
      .value("gru_reset_before", Cell::gru_reset_before);

  nb::class_<Scan> scan(m, "Scan");
  scan.def(nb::init<>())
      .def_rw("cell", &Scan::cell)
      .def_rw("is_double", &Scan::is_double)
      .def_rw("reverse", &Scan::reverse)
      .def_rw("backward", &Scan::backward)
      .def_rw("save", &Scan::save)
      .def_rw("hidden", &Scan::hidden)
      .def_rw("inputs", &Scan::inputs)
      .def_rw("steps", &Scan::steps)
      .def_rw("batch", &Scan::batch);
  address(scan, "counts", &Scan::counts);
  address(scan, "offsets", &Scan::offsets);
  address(scan, "x", &Scan::x);
  address(scan, "input_weights", &Scan::input_weights);
  address(scan, "weights", &Scan::weights);
  address(scan, "bias", &Scan::bias);
  address(scan, "inner_bias", &Scan::inner_bias);
  address(scan, "gates", &Scan::gates);
  address(scan, "inner", &Scan::inner);
  address(scan, "h0", &Scan::h0);
  address(scan, "c0", &Scan::c0);
  address(scan, "h", &Scan::h);
  address(scan, "c", &Scan::c);
  address(scan, "h_n", &Scan::h_n);
  address(scan, "c_n", &Scan::c_n);
  address(scan, "d_h", &Scan::d_h);
  address(scan, "d_h_n", &Scan::d_h_n);
  address(scan, "d_gates", &Scan::d_gates);
  address(scan, "d_h0", &Scan::d_h0);
  address(scan, "d_c", &Scan::d_c);

  nb::class_<Logits> logits(m, "Logits");
  logits.def(nb::init<>())
      .def_rw("is_double", &Logits::is_double)
      .def_rw("rows", &Logits::rows)
      .def_rw("features", &Logits::features)
      .def_rw("types", &Logits::types);
  address(logits, "hidden", &Logits::hidden);
  address(logits, "weights", &Logits::weights);
  address(logits, "bias", &Logits::bias);
  address(logits, "values", &Logits::values);
  address(logits, "targets", &Logits::targets);
  address(logits, "losses", &Logits::losses);
  address(logits, "shares", &Logits::shares);

  nb::class_<Stream>(m, "Stream")
      .def("__init__",
           [](Stream* self, const Kernels& kernels, std::vector<Scan> layers) {
             new (self) Stream(kernels, std::move(layers));
           })
      .def("step", [](Stream& stream, const Array<nb::ro>& x, const Array<>& y, int threads) {
        const void* from = x.data();
        void* to = y.data();
        nb::gil_scoped_release released;
        stream.step(from, to, threads);
      });

  nb::class_<ThreadPlan>(m, "ThreadPlan", "How threads share each step of a scan.")
      .def_prop_ro("threads", [](const ThreadPlan& t) { return recurra::team_size(t.plan); })
      .def_prop_ro("row_shares", [](const ThreadPlan& t) { return t.plan.row_shares; })
      .def_prop_ro("panel_shares", [](const ThreadPlan& t) { return t.plan.panel_shares; })
      .def_prop_ro("panels", &ThreadPlan::panels)
      .def("rows_of", &ThreadPlan::rows_of)
      .def("panels_of", &ThreadPlan::panels_of);

  nb::class_<Kernels>(m, "Kernels")
      .def_ro("name", &Kernels::name)
      .def_ro("vector_bytes", &Kernels::vector_bytes)
      .def("packed_size",
           [](const Kernels& k, Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, bool backward) {
             return k.packed_size(cell, is_double, hidden, columns, backward);
           })
      .def("pack",
           [](const Kernels& k, Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns,
              std::uintptr_t weights, std::uintptr_t to, bool backward, int threads) {
             nb::gil_scoped_release released;
             k.pack(cell, is_double, hidden, columns, reinterpret_cast<const void*>(weights),
                    reinterpret_cast<void*>(to), backward, threads);
           })
      .def("thread_plan",
           [](const Kernels& k, const Scan& scan, int threads) {
             const Work work = k.work(scan);
             return ThreadPlan{work, recurra::plan_threads(work, threads)};
           })
      .def("run",
           [](const Kernels& k, const Scan& scan, int threads) {
             nb::gil_scoped_release released;
             k.run(scan, threads);
           })
      .def("transpose",
           [](const Kernels& k, bool is_double, std::int64_t rows, std::int64_t columns, std::uintptr_t from,
              std::int64_t from_stride, std::uintptr_t to, std::int64_t to_stride, int threads) {
             nb::gil_scoped_release released;
             k.transpose(is_double, rows, columns, reinterpret_cast<const void*>(from), from_stride,
                         reinterpret_cast<void*>(to), to_stride, threads);
           })
      .def("cross_entropy", [](const Kernels& k, const Logits& logits, int threads) {
        nb::gil_scoped_release released;
        k.cross_entropy(logits, threads);
      });

  m.def("supported", &recurra::supported_kernels, "What this processor can run, the best first.");
}
