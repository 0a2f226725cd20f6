// Elman network: h' = f(W_ih x + W_hh h + b) with f one of tanh, relu, sigmoid.
#pragma once

#include "timeline.h"

namespace recurra::ISA {

struct Tanh {
  template <class T>
  static V<T> value(V<T> x) { return tanh<T>(x); }
  template <class T>
  static V<T> slope(V<T> y) { return T(1) - y * y; }
};

struct Relu {
  template <class T>
  static V<T> value(V<T> x) { return x < T(0) ? V<T>{} : x; }
  template <class T>
  static V<T> slope(V<T> y) { return y > T(0) ? splat(T(1)) : V<T>{}; }
};

struct Sigmoid {
  template <class T>
  static V<T> value(V<T> x) { return sigmoid<T>(x); }
  template <class T>
  static V<T> slope(V<T> y) { return y * (T(1) - y); }
};

template <class T, class Function>
struct Rnn : Base<T> {
  using B = Base<T>;
  using B::hidden, B::gates, B::d_gates, B::d_h0;
  static constexpr int kForwardRows = kRows<4>, kBackwardRows = kRows<4>;

  explicit Rnn(const Scan& scan)
      : B(scan),
        weights(place_panels(panels(scan.hidden, scan.hidden, scan.backward), scan.weights)[0]),
        input_weights(place_panels(panels(scan.hidden, scan.inputs, false), scan.input_weights)[0]) {}

  // Packed weights: a matrix (hidden, depth), or the transpose of W_hh.
  static std::array<Panels<T>, 1> panels(std::int64_t hidden, std::int64_t depth, bool) {
    return {Panels<T>{hidden, depth, 4, false}};
  }

  void forward(const Step& step, Worker<T>& worker) const {
    B::take_states(step, worker);
    const auto finish = [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const V<T> x = B::drive(step, row, hidden, u, lanes);
        B::put_state(step, row, u, lanes, Function::template value<T>(sums[q] + x));
      });
    };
    worker.template run<4, 4>(weights, hidden, B::inputs_of(step, input_weights), finish);
  }

  void backward(const Step& step, Worker<T>& worker) const {
    B::take_gradients(step, worker, hidden, 0);
    worker.template run<4>(weights, hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        const V<T> d = sums[q] + B::arriving(step, row, u, lanes);
        const V<T> y = load(B::h + step.row(row) * hidden + u, lanes);
        store(d_gates + step.row(row) * hidden + u, d * Function::template slope<T>(y), lanes);
      });
    });
  }

  void backward_beginnings(const Step& step, Worker<T>& worker) const {
    B::take_beginnings(step, worker, hidden, 0);
    worker.template run<4>(weights, hidden, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, hidden, [&](int q, std::int64_t u, int lanes) {
        store(d_h0 + row * hidden + u, sums[q], lanes);
      });
    });
  }

  const Panels<T> weights, input_weights;
};

}  // namespace recurra::ISA
