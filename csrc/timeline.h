// Steps in their order: which rows take part in each, and where they come from and go to.
#pragma once

#include <array>

#include "product.h"
#include "scan.h"

namespace recurra::ISA {

// One step as a cell sees it. Of its rows [0, count) the first `linked` come from the step before, the others from the
// initial state; the first `followed` go on to the step after, the others end here.
struct Step {
  std::int64_t count, linked, followed;
  std::int64_t here, before, after;  // where the rows of this step and its neighbors begin

  std::int64_t row(std::int64_t i) const { return here + i; }
};

// Before and after are meant in the direction of the scan: in reverse, step t + 1 is before step t.
inline Step step_of(const Scan& scan, std::int64_t t) {
  const auto count = [&](std::int64_t s) -> std::int64_t {
    return s < 0 || s >= scan.steps ? 0 : scan.counts ? scan.counts[s] : scan.batch;
  };
  const auto offset = [&](std::int64_t s) { return scan.offsets ? scan.offsets[s] : s * scan.batch; };
  const std::int64_t before = scan.reverse ? t + 1 : t - 1, after = scan.reverse ? t - 1 : t + 1;
  Step step{count(t), std::min(count(t), count(before)), std::min(count(t), count(after)), offset(t), 0, 0};
  if (step.linked) step.before = offset(before);
  if (step.followed) step.after = offset(after);
  return step;
}

// Where a row finds what it starts from: in a matrix of all steps, or in that of the initial states.
template <class T>
struct History {
  const T *rows, *initial;
  std::int64_t width;

  const T* linked(const Step& step, std::int64_t row) const { return rows + (step.before + row) * width; }
  const T* first(std::int64_t row) const { return initial + row * width; }
  const T* operator()(const Step& step, std::int64_t row) const {
    return row < step.linked ? linked(step, row) : first(row);
  }
};

// What every cell shares: typed views of a scan, and the ways a product takes its rows.
template <class T>
struct Base {
  using Number = T;

  explicit Base(const Scan& scan)
      : hidden(scan.hidden),
        save(scan.save),
        bias(static_cast<const T*>(scan.bias)),
        gates(static_cast<T*>(scan.gates)),
        h(static_cast<T*>(scan.h)),
        h_n(static_cast<T*>(scan.h_n)),
        d_h(static_cast<const T*>(scan.d_h)),
        d_h_n(static_cast<const T*>(scan.d_h_n)),
        d_gates(static_cast<T*>(scan.d_gates)),
        d_h0(static_cast<T*>(scan.d_h0)),
        states{h, static_cast<const T*>(scan.h0), hidden},
        x(static_cast<const T*>(scan.x)) {}

  // Rows with the state before them as terms.
  void take_states(const Step& step, Worker<T>& worker) const {
    worker.take_rows(
        0, step.linked, step.count, [&](std::int64_t row) { return states.linked(step, row); },
        [&](std::int64_t row) { return states.first(row); });
  }

  // Rows with the gradient of the gates of the step after as terms, from column `first` of `width`.
  void take_gradients(const Step& step, Worker<T>& worker, std::int64_t width, std::int64_t first) const {
    worker.take_rows(
        0, step.followed, step.count, [&](std::int64_t row) { return d_gates + (step.after + row) * width + first; },
        [](std::int64_t) -> const T* { return nullptr; });
  }

  // Rows that begin with this step, with the gradient of its own gates as terms.
  void take_beginnings(const Step& step, Worker<T>& worker, std::int64_t width, std::int64_t first) const {
    const auto terms = [&](std::int64_t row) { return d_gates + step.row(row) * width + first; };
    worker.take_rows(step.linked, step.count, step.count, terms, terms);
  }

  // The gradient that reaches the state of a row from outside the recurrence.
  V<T> arriving(const Step& step, std::int64_t row, std::int64_t u, int lanes) const {
    V<T> d = d_h ? load(d_h + step.row(row) * hidden + u, lanes) : V<T>{};
    if (row >= step.followed) d += load(d_h_n + row * hidden + u, lanes);
    return d;
  }

  void put_state(const Step& step, std::int64_t row, std::int64_t u, int lanes, V<T> value) const {
    store(h + step.row(row) * hidden + u, value, lanes);
    if (row >= step.followed) store(h_n + row * hidden + u, value, lanes);
  }

  // What drives column `column` of the gates of a row from outside: the bias, and the product of the input where that
  // was computed ahead.
  V<T> drive(const Step& step, std::int64_t row, std::int64_t width, std::int64_t column, int lanes) const {
    V<T> value = x ? V<T>{} : load(gates + step.row(row) * width + column, lanes);
    if (bias) value += load(bias + column, lanes);
    return value;
  }

  // The input of a step and its weights, where the kernels multiply it.
  Inputs<T> inputs_of(const Step& step, const Panels<T>& panels) const {
    return {x ? x + step.here * panels.depth : nullptr, panels};
  }

  const std::int64_t hidden;
  const bool save;
  const T* const bias;
  T *const gates, *const h, *const h_n;
  const T *const d_h, *const d_h_n;
  T *const d_gates, *const d_h0;
  const History<T> states;
  const T* const x;
};

}  // namespace recurra::ISA
