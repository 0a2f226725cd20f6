// Softmax cross-entropy of a linear layer, a few rows of logits at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "logits.h"
#include "rnn.h"

namespace recurra::ISA {

// body(first, how many) for each vector of a row, the last perhaps short.
template <class T, class Body>
inline void each_vector(std::int64_t count, Body body) {
  std::int64_t k = 0;
  for (; k + kLanes<T> <= count; k += kLanes<T>) body(k, std::integral_constant<int, kLanes<T>>{});
  if (k < count) body(k, int(count - k));
}

template <class T>
T largest_of(const T* row, std::int64_t types) {
  const V<T> lowest = splat(-std::numeric_limits<T>::infinity());
  V<T> found[4] = {lowest, lowest, lowest, lowest};  // a chain each: one would wait for itself
  each_vector<T>(types, [&](std::int64_t k, auto lanes) {
    V<T>& most = found[k / kLanes<T> % 4];
    V<T> v = load(row + k, lanes);
    for (int i = lanes; i < kLanes<T>; ++i) v[i] = lowest[i];
    most = v > most ? v : most;
  });
  T largest = lowest[0];
  for (const V<T>& most : found) {
    for (int i = 0; i < kLanes<T>; ++i) largest = std::max(largest, most[i]);
  }
  return largest;
}

// e^(logit - shift) of each, their sum returned; what is below the exponent's range counts as its lowest value.
template <class T>
T exponentials(T* row, std::int64_t types, T shift) {
  V<T> total{};
  each_vector<T>(types, [&](std::int64_t k, auto lanes) {
    const V<T> x = load(row + k, lanes) - shift;
    const Exponential<T> e(x < Vector<T>::kLowest ? splat(Vector<T>::kLowest) : x);
    V<T> value = e.scale * e.q + e.scale;
    for (int i = lanes; i < kLanes<T>; ++i) value[i] = 0;
    total += value;
    store(row + k, value, lanes);
  });
  T sum = 0;
  for (int i = 0; i < kLanes<T>; ++i) sum += total[i];
  return sum;
}

// Rows of a block: its logits stay in the second cache.
constexpr std::int64_t kSoftmaxRows = 2 * kRows<4>;

// Every `shares`-th block of rows: its logits, a panel of weights for all its rows, and at once what becomes of them.
template <class T>
void cross_entropy_share(const Logits& logits, int share, int shares) {
  using Elman = Rnn<T, Tanh>;
  const std::int64_t features = logits.features, types = logits.types;
  const Panels<T> panels = place_panels(Elman::panels(types, features, false), logits.weights)[0];
  const T* bias = static_cast<const T*>(logits.bias);
  Barrier nobody(1);
  for (std::int64_t first = share * kSoftmaxRows; first < logits.rows; first += shares * kSoftmaxRows) {
    const std::int64_t count = std::min(kSoftmaxRows, logits.rows - first);
    const T* hidden = static_cast<const T*>(logits.hidden) + first * features;
    T* values = static_cast<T*>(logits.values) + first * types;
    Worker<T> worker(make_plan(count, kRows<4>, 1, 1), 0, nobody);
    const auto terms = [&](std::int64_t row) { return hidden + row * features; };
    worker.take_rows(0, count, count, terms, terms);
    worker.template run<4>(panels, features, [&](std::int64_t row, std::int64_t panel, V<T>* sums) {
      each_unit<4, T>(panel, types, [&](int q, std::int64_t type, int lanes) {
        store(values + row * types + type, sums[q] + load(bias + type, lanes), lanes);
      });
    });
    for (std::int64_t i = 0; i < count; ++i) {
      T* row = values + i * types;
      const std::int64_t target = logits.targets[first + i];
      const T shift = largest_of(row, types), wanted = row[target] - shift;
      const T total = exponentials(row, types, shift);
      static_cast<T*>(logits.losses)[first + i] = std::log(total) - wanted;
      static_cast<T*>(logits.shares)[first + i] = 1 / total;
      row[target] -= total;
    }
  }
}

}  // namespace recurra::ISA
