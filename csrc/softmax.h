// Softmax cross-entropy of rows of logits, where they lie.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "logits.h"
#include "vector.h"

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
T exponentials(T* row, std::int64_t types, T shift, bool keep) {
  V<T> total{};
  each_vector<T>(types, [&](std::int64_t k, auto lanes) {
    const V<T> x = load(row + k, lanes) - shift;
    const Exponential<T> e(x < Vector<T>::kLowest ? splat(Vector<T>::kLowest) : x);
    V<T> value = e.scale * e.q + e.scale;
    for (int i = lanes; i < kLanes<T>; ++i) value[i] = 0;
    total += value;
    if (keep) store(row + k, value, lanes);
  });
  T sum = 0;
  for (int i = 0; i < kLanes<T>; ++i) sum += total[i];
  return sum;
}

template <class T>
void cross_entropy_share(const Logits& logits, int share, int shares) {
  for (std::int64_t i = logits.rows * share / shares; i < logits.rows * (share + 1) / shares; ++i) {
    T* row = static_cast<T*>(logits.values) + i * logits.types;
    const std::int64_t target = logits.targets[i];
    const T shift = largest_of(row, logits.types), wanted = row[target] - shift;
    const T total = exponentials(row, logits.types, shift, logits.save);
    static_cast<T*>(logits.losses)[i] = std::log(total) - wanted;
    if (!logits.save) continue;
    row[target] -= total;
    static_cast<T*>(logits.shares)[i] = 1 / total;
  }
}

}  // namespace recurra::ISA
