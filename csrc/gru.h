// GRU: r, z = sigmoid(W_ih x + W_hh h + b); h' = (1 - z) n + z h with
//   n = tanh(W_in x + b_in + r (W_hn h + b_hn)), the reset after the product, or
//   n = tanh(W_in x + W_hn (r h) + b_n), the reset before it: then a step has two products, one after the other.
#pragma once

#include "timeline.h"

namespace recurra::ISA {

template <class T>
struct Gru : Base<T> {
  using B = Base<T>;
  using B::hidden, B::gates, B::d_gates, B::d_h0, B::save, B::states;
  static constexpr int kForwardRows = kRows<4>, kBackwardRows = kRows<4>;

  explicit Gru(const Scan& scan)
      : B(scan),
        weights(place_panels(panels(scan.hidden, scan.hidden, scan.backward), scan.weights)[0]),
        input_weights(place_panels(panels(scan.hidden, scan.inputs, false), scan.input_weights)[0]),
        inner_bias(static_cast<const T*>(scan.inner_bias)),
        inner(static_cast<T*>(scan.inner)) {}

  // Packed weights: a matrix (3 hidden, depth), or the transpose of W_hh.
  static std::array<Panels<T>, 1> panels(std::int64_t hidden, std::int64_t depth, bool backward) {
    if (backward) return {Panels<T>{hidden, 3 * hidden, 4, false}};
    return {Panels<T>{hidden, depth, 3, true}};
  }

  void forward(const Step& step, Worker<T>& worker) const {
    B::take_states(step, worker);
    // n's product with the state (sum 2) stays apart from that with the input (sum 3): the reset is between them.
    const auto finish = [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<1, T>(panel, hidden, [&](int, std::int64_t u, int lanes) {
        T* gate = gates + step.row(row) * 3 * hidden + u;
        const V<T> r = sigmoid<T>(sums[0] + B::drive(step, row, 3 * hidden, u, lanes));
        const V<T> z = sigmoid<T>(sums[1] + B::drive(step, row, 3 * hidden, hidden + u, lanes));
        const V<T> m = inner_bias ? sums[2] + load(inner_bias + u, lanes) : sums[2];
        const V<T> n = tanh<T>(sums[3] + B::drive(step, row, 3 * hidden, 2 * hidden + u, lanes) + r * m);
        const V<T> before = load(states(step, row) + u, lanes);
        B::put_state(step, row, u, lanes, n + z * (before - n));
        if (!save) return;
        store(gate, r, lanes);
        store(gate + hidden, z, lanes);
        store(gate + 2 * hidden, n, lanes);
        store(inner + step.row(row) * hidden + u, m, lanes);
      });
    };
    worker.template run<3, 4>(weights, hidden, B::inputs_of(step, input_weights), finish);
  }

  void backward(const Step& step, Worker<T>& worker) const {
    B::take_gradients(step, worker, 4 * hidden, hidden);
    worker.template run<4>(weights, 4 * hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const T* gate = gates + step.row(row) * 3 * hidden + u;
        const V<T> r = load(gate, lanes), z = load(gate + hidden, lanes), n = load(gate + 2 * hidden, lanes);
        const V<T> m = load(inner + step.row(row) * hidden + u, lanes);
        const V<T> before = load(states(step, row) + u, lanes);
        T* carried = d_h0 + row * hidden + u;  // what goes past the gates to the state before
        V<T> dh = sums[q] + B::arriving(step, row, u, lanes);
        if (row < step.followed) dh += load(carried, lanes);
        const V<T> dn = dh * (T(1) - z) * (T(1) - n * n);
        T* d_gate = d_gates + step.row(row) * 4 * hidden + u;
        store(d_gate, dn, lanes);
        store(d_gate + hidden, dn * m * r * (T(1) - r), lanes);
        store(d_gate + 2 * hidden, dh * (before - n) * z * (T(1) - z), lanes);
        store(d_gate + 3 * hidden, dn * r, lanes);
        store(carried, dh * z, lanes);
      });
    });
  }

  void backward_beginnings(const Step& step, Worker<T>& worker) const {
    B::take_beginnings(step, worker, 4 * hidden, hidden);
    worker.template run<4>(weights, 4 * hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        T* carried = d_h0 + row * hidden + u;
        store(carried, sums[q] + load(carried, lanes), lanes);
      });
    });
  }

  const Panels<T> weights, input_weights;
  const T* const inner_bias;
  T* const inner;
};

template <class T>
struct GruResetBefore : Base<T> {
  using B = Base<T>;
  using B::hidden, B::gates, B::d_gates, B::d_h0, B::save, B::states;
  static constexpr int kForwardRows = std::min(kRows<2>, kRows<4>), kBackwardRows = kRows<4>;

  explicit GruResetBefore(const Scan& scan)
      : B(scan),
        reset_update(place_panels(panels(scan.hidden, scan.hidden, scan.backward), scan.weights)[0]),
        candidate(place_panels(panels(scan.hidden, scan.hidden, scan.backward), scan.weights)[1]),
        input_weights(place_panels(panels(scan.hidden, scan.inputs, false), scan.input_weights)),
        inner(static_cast<T*>(scan.inner)) {}

  // Packed weights, of a matrix (3 hidden, depth) or of the transpose of W_hh: those of r and z, then those of n.
  static std::array<Panels<T>, 2> panels(std::int64_t hidden, std::int64_t depth, bool backward) {
    const Panels<T> first = backward ? Panels<T>{hidden, 2 * hidden, 4, false} : Panels<T>{hidden, depth, 2, true};
    return {first, Panels<T>{hidden, backward ? hidden : depth, 4, false, 2 * hidden}};
  }

  void forward(const Step& step, Worker<T>& worker) const {
    B::take_states(step, worker);
    const auto finish_gates = [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<1, T>(panel, hidden, [&](int, std::int64_t u, int lanes) {
        T* gate = gates + step.row(row) * 3 * hidden + u;
        const V<T> r = sigmoid<T>(sums[0] + B::drive(step, row, 3 * hidden, u, lanes));
        store(gate, r, lanes);
        store(gate + hidden, sigmoid<T>(sums[1] + B::drive(step, row, 3 * hidden, hidden + u, lanes)), lanes);
        store(inner + step.row(row) * hidden + u, r * load(states(step, row) + u, lanes), lanes);
      });
    };
    worker.template run<2, 2>(reset_update, hidden, B::inputs_of(step, input_weights[0]), finish_gates);
    worker.meet();
    const auto reset = [&](std::int64_t row) { return inner + step.row(row) * hidden; };
    worker.take_rows(0, step.count, step.count, reset, reset);
    const auto finish = [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        T* gate = gates + step.row(row) * 3 * hidden + u;
        const V<T> n = tanh<T>(sums[q] + B::drive(step, row, 3 * hidden, 2 * hidden + u, lanes));
        const V<T> z = load(gate + hidden, lanes), before = load(states(step, row) + u, lanes);
        B::put_state(step, row, u, lanes, n + z * (before - n));
        if (save) store(gate + 2 * hidden, n, lanes);
      });
    };
    worker.template run<4, 4>(candidate, hidden, B::inputs_of(step, input_weights[1]), finish);
  }

  void backward(const Step& step, Worker<T>& worker) const {
    B::take_gradients(step, worker, 3 * hidden, 0);
    worker.template run<4>(reset_update, 3 * hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const T* gate = gates + step.row(row) * 3 * hidden + u;
        const V<T> z = load(gate + hidden, lanes), n = load(gate + 2 * hidden, lanes);
        const V<T> before = load(states(step, row) + u, lanes);
        T* carried = d_h0 + row * hidden + u;
        V<T> dh = sums[q] + B::arriving(step, row, u, lanes);
        if (row < step.followed) dh += load(carried, lanes);
        T* d_gate = d_gates + step.row(row) * 3 * hidden + u;
        store(d_gate + hidden, dh * (before - n) * z * (T(1) - z), lanes);
        store(d_gate + 2 * hidden, dh * (T(1) - z) * (T(1) - n * n), lanes);
        store(carried, dh * z, lanes);
      });
    });
    worker.meet();
    const auto candidates = [&](std::int64_t row) { return d_gates + step.row(row) * 3 * hidden + 2 * hidden; };
    worker.take_rows(0, step.count, step.count, candidates, candidates);
    worker.template run<4>(candidate, 3 * hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const V<T> r = load(gates + step.row(row) * 3 * hidden + u, lanes);
        const V<T> before = load(states(step, row) + u, lanes);
        T* carried = d_h0 + row * hidden + u;
        store(d_gates + step.row(row) * 3 * hidden + u, sums[q] * before * r * (T(1) - r), lanes);
        store(carried, load(carried, lanes) + sums[q] * r, lanes);
      });
    });
  }

  void backward_beginnings(const Step& step, Worker<T>& worker) const {
    B::take_beginnings(step, worker, 3 * hidden, 0);
    worker.template run<4>(reset_update, 3 * hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        T* carried = d_h0 + row * hidden + u;
        store(carried, sums[q] + load(carried, lanes), lanes);
      });
    });
  }

  const Panels<T> reset_update, candidate;
  const std::array<Panels<T>, 2> input_weights;
  T* const inner;
};

}  // namespace recurra::ISA
