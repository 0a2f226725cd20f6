// LSTM: i, f, o = sigmoid, g = tanh, each of W_ih x + W_hh h + b; c' = f c + i g; h' = o tanh(c').
#pragma once

#include "timeline.h"

namespace recurra::ISA {

template <class T>
struct Lstm : Base<T> {
  using B = Base<T>;
  using B::hidden, B::gates, B::d_gates, B::d_h0, B::save;
  static constexpr int kForwardRows = kRows<4>, kBackwardRows = kRows<4>;

  explicit Lstm(const Scan& scan)
      : B(scan),
        width(4 * scan.hidden),
        weights(place_panels(panels(scan.hidden, scan.hidden, scan.backward), scan.weights)[0]),
        input_weights(place_panels(panels(scan.hidden, scan.inputs, false), scan.input_weights)[0]),
        c(static_cast<T*>(scan.c)),
        c_n(static_cast<T*>(scan.c_n)),
        d_c(static_cast<T*>(scan.d_c)),
        cells{c, static_cast<const T*>(scan.c0), hidden} {}

  // Packed weights: a matrix (4 hidden, depth), or the transpose of W_hh.
  static std::array<Panels<T>, 1> panels(std::int64_t hidden, std::int64_t depth, bool backward) {
    if (backward) return {Panels<T>{hidden, 4 * hidden, 4, false}};
    return {Panels<T>{hidden, depth, 4, true}};
  }

  void forward(const Step& step, Worker<T>& worker) const {
    B::take_states(step, worker);
    const auto finish = [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<1, T>(panel, hidden, [&](int, std::int64_t u, int lanes) {
        T* gate = gates + step.row(row) * width + u;
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) sums[q] += B::drive(step, row, width, q * hidden + u, lanes);
        const V<T> i = sigmoid<T>(sums[0]), f = sigmoid<T>(sums[1]), g = tanh<T>(sums[2]), o = sigmoid<T>(sums[3]);
        T* cell = c_n + row * hidden + u;
        const V<T> c_new = f * load(cell, lanes) + i * g;
        store(cell, c_new, lanes);
        B::put_state(step, row, u, lanes, o * tanh<T>(c_new));
        if (c) store(c + step.row(row) * hidden + u, c_new, lanes);
        if (!save) return;
        store(gate, i, lanes);
        store(gate + hidden, f, lanes);
        store(gate + 2 * hidden, g, lanes);
        store(gate + 3 * hidden, o, lanes);
      });
    };
    worker.template run<4, 4>(weights, hidden, B::inputs_of(step, input_weights), finish);
  }

  void backward(const Step& step, Worker<T>& worker) const {
    B::take_gradients(step, worker, width, 0);
    worker.template run<4>(weights, width, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const T* gate = gates + step.row(row) * width + u;
        const V<T> i = load(gate, lanes), f = load(gate + hidden, lanes);
        const V<T> g = load(gate + 2 * hidden, lanes), o = load(gate + 3 * hidden, lanes);
        const V<T> t = tanh<T>(load(c + step.row(row) * hidden + u, lanes));
        const V<T> before = load(cells(step, row) + u, lanes);
        T* carried = d_c + row * hidden + u;
        const V<T> dh = sums[q] + B::arriving(step, row, u, lanes);
        const V<T> dc = load(carried, lanes) + dh * o * (T(1) - t * t);
        T* d_gate = d_gates + step.row(row) * width + u;
        store(d_gate, dc * g * i * (T(1) - i), lanes);
        store(d_gate + hidden, dc * before * f * (T(1) - f), lanes);
        store(d_gate + 2 * hidden, dc * i * (T(1) - g * g), lanes);
        store(d_gate + 3 * hidden, dh * t * o * (T(1) - o), lanes);
        store(carried, dc * f, lanes);
      });
    });
  }

  void backward_beginnings(const Step& step, Worker<T>& worker) const {
    B::take_beginnings(step, worker, width, 0);
    worker.template run<4>(weights, width, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        store(d_h0 + row * hidden + u, sums[q], lanes);
      });
    });
  }

  const std::int64_t width;
  const Panels<T> weights, input_weights;
  T *const c, *const c_n, *const d_c;
  const History<T> cells;
};

}  // namespace recurra::ISA
