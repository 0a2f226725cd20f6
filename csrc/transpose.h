// Rows become columns, a square of vectors at a time.
#pragma once

#include <algorithm>
#include <utility>

#include "plan.h"
#include "vector.h"

namespace recurra::ISA {

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define RECURRA_SHUFFLES 1
#endif
#endif

#ifdef RECURRA_SHUFFLES

// Exchanges the lanes of `a` that have the bit `bit` with those of `b` that lack it.
template <class T, int bit, std::size_t... i>
inline __attribute__((always_inline)) void exchange(V<T>& a, V<T>& b, std::index_sequence<i...>) {
  constexpr int lanes = kLanes<T>;
  const V<T> low = __builtin_shufflevector(a, b, ((i & bit) ? lanes + i - bit : i)...);
  b = __builtin_shufflevector(a, b, ((i & bit) ? lanes + i : i + bit)...);
  a = low;
}

// A square is transposed when for each bit of the index what is off the diagonal has changed places.
template <class T, int bit = 1>
inline __attribute__((always_inline)) void turn(V<T>* square) {
  if constexpr (bit < kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if (!(i & bit)) exchange<T, bit>(square[i], square[i | bit], std::make_index_sequence<kLanes<T>>{});
    }
    turn<T, 2 * bit>(square);
  }
}

#else

template <class T>
inline void turn(V<T>* square) {
  T from[kLanes<T>][kLanes<T>], to[kLanes<T>][kLanes<T>];
  std::memcpy(from, square, sizeof from);
  for (int i = 0; i < kLanes<T>; ++i) {
    for (int k = 0; k < kLanes<T>; ++k) to[k][i] = from[i][k];
  }
  std::memcpy(square, to, sizeof to);
}

#endif

// to[k][i] = from[i][k] for a square of `rows` by `columns`, neither above the lanes of a vector; each row of `to` gets
// `written` elements, 0 where `from` ends.
template <class T>
inline void transpose_square(const T* from, std::int64_t from_stride, int rows, int columns, T* to,
                             std::int64_t to_stride, int written) {
  V<T> square[kLanes<T>];
  if (rows == kLanes<T> && columns == kLanes<T> && written == kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) square[i] = load(from + i * from_stride);
    turn<T>(square);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k) store(to + k * to_stride, square[k], kLanes<T>);
    return;
  }
  for (int i = 0; i < kLanes<T>; ++i) square[i] = i < rows ? load(from + i * from_stride, columns) : V<T>{};
  turn<T>(square);
  for (int k = 0; k < columns; ++k) store(to + k * to_stride, square[k], written);
}

// One share of the columns of a matrix (rows, columns), which become rows of `to`. The two may not overlap.
template <class T>
void transpose_share(const T* from, std::int64_t rows, std::int64_t columns, std::int64_t from_stride, T* to,
                     std::int64_t to_stride, int share, int shares) {
  constexpr std::int64_t lanes = kLanes<T>;
  const Range ours = share_of((columns + lanes - 1) / lanes, share, shares);
  for (std::int64_t b = ours.begin; b < ours.end; ++b) {
    const std::int64_t k = b * lanes;
    for (std::int64_t i = 0; i < rows; i += lanes) {
      const int height = int(std::min(lanes, rows - i)), width = int(std::min(lanes, columns - k));
      transpose_square(from + i * from_stride + k, from_stride, height, width, to + k * to_stride + i, to_stride,
                       height);
    }
  }
}

}  // namespace recurra::ISA
