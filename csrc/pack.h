// Weights in the order the product reads them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "plan.h"
#include "transpose.h"

namespace recurra::ISA {

// A matrix of weights cut into panels. A panel has `groups` vectors side by side for each of `depth` terms: the gates
// of the same few units where `gated`, else consecutive units.
//
// `data` has size() elements at an address that a whole vector may be read from: a multiple of VECTOR_BYTES. It is only
// read here; pack() writes it, through a pointer of its own.
template <class T>
struct Panels {
  std::int64_t units = 0;
  std::int64_t depth = 0;
  int groups = 1;
  bool gated = false;
  std::int64_t first_row = 0;  // of the matrix
  const T* data = nullptr;

  static constexpr std::int64_t kLane = kLanes<T>;

  std::int64_t units_per_panel() const { return gated ? kLane : groups * kLane; }
  std::int64_t count() const { return (units + units_per_panel() - 1) / units_per_panel(); }
  std::int64_t panel_size() const { return depth * groups * kLane; }
  std::int64_t size() const { return count() * panel_size(); }
  const T* panel(std::int64_t p) const { return data + p * panel_size(); }

  // Packs one share of the panels out of a matrix of `columns`, as it is or, for the way back, transposed, into
  // `packed`: size() elements, apart from the matrix. Lanes beyond the last unit become 0.
  void pack(const T* matrix, std::int64_t columns, bool transposed, int share, int shares, T* packed) const {
    const std::int64_t row_stride = transposed ? 1 : columns, term_stride = transposed ? columns : 1;
    matrix += first_row * columns;
    const Range ours = share_of(count(), share, shares);
    for (std::int64_t p = ours.begin; p < ours.end; ++p) {
      T* to = packed + p * panel_size();
      for (std::int64_t k = 0; k < depth; k += kTile) {
        for (int g = 0; g < groups; ++g) {
          const std::int64_t first = p * units_per_panel() + (gated ? 0 : g * kLane);
          const std::int64_t valid = std::clamp<std::int64_t>(units - first, 0, kLane);
          const T* from = matrix + (first + (gated ? g * units : 0)) * row_stride + k * term_stride;
          pack_tile(from, row_stride, term_stride, valid, std::min(kTile, depth - k), to + (k * groups + g) * kLane);
        }
      }
    }
  }

 private:
  static constexpr std::int64_t kTile = kLane;  // terms

  void pack_tile(const T* from, std::int64_t row_stride, std::int64_t term_stride, std::int64_t valid,
                 std::int64_t terms, T* to) const {
    const std::int64_t next = groups * kLane;
    if (row_stride == 1) {
      for (std::int64_t k = 0; k < terms; ++k) {
        const V<T> v = load(from + k * term_stride, int(valid));
        store(to + k * next, v, int(kLane));
      }
      return;
    }
    transpose_square(from, row_stride, int(valid), int(terms), to, next, int(kLane));
  }
};

// The panels of a cell with their data, which stand one after the other in the packed weights.
template <class T, std::size_t n>
std::array<Panels<T>, n> place_panels(std::array<Panels<T>, n> panels, const void* packed) {
  const T* data = static_cast<const T*>(packed);
  for (Panels<T>& each : panels) {
    each.data = data;
    if (data) data += each.size();
  }
  return panels;
}

}  // namespace recurra::ISA
