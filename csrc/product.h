// The inner loop of everything: a few rows times a panel of weights, in registers, and what becomes of the sums there.
#pragma once

#include <utility>
#include <vector>

#include "pack.h"
#include "team.h"

namespace recurra::ISA {

// Most rows whose sums fit into the registers, beside one row of the panel and one value.
template <int groups>
constexpr int kRows = std::min(8, (VECTOR_REGISTERS - groups - 1) / groups);

// Rows of a step that are worked on at once.
template <class T>
struct Tile {
  std::int64_t row;  // the first, counted in the batch
  int count;
  const T* terms;  // of the first row, or null where the sums are 0
};

// Adds the product to the first sums of each row, that of the panel's last group to the sum `last`.
template <int groups, int last, int rows, int num_sums, class T>
inline __attribute__((always_inline)) void multiply(const T* terms, std::int64_t stride, const T* panel,
                                                    std::int64_t depth, V<T> (&sums)[rows][num_sums]) {
  V<T> held[rows][groups];  // a copy nobody else sees stays in registers
  for (int i = 0; i < rows; ++i) {
    for (int g = 0; g < groups; ++g) held[i][g] = sums[i][g < groups - 1 ? g : last];
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const V<T>* weights = reinterpret_cast<const V<T>*>(panel) + k * groups;
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const V<T> value = splat(terms[i * stride + k]);
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) held[i][g] += value * weights[g];
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int g = 0; g < groups; ++g) sums[i][g < groups - 1 ? g : last] = held[i][g];
  }
}

// The input of a step, to be multiplied with weights of its own; without rows there is none.
template <class T>
struct Inputs {
  const T* rows = nullptr;  // (batch, depth)
  Panels<T> panels{};
};

// One thread: its rows and panels of every product of a scan.
template <class T>
class Worker {
 public:
  // Rows come in blocks of at most `most_rows`, every `num_row_shares`-th of them ours; panels in consecutive shares.
  // A sum is the same whoever computes it, so results do not depend on the shares.
  Worker(std::int64_t batch, int most_rows, int row_share, int num_row_shares, int panel_share, int num_panel_shares,
         Barrier& barrier)
      : batch_(batch),
        row_share_(row_share),
        num_row_shares_(num_row_shares),
        panel_share_(panel_share),
        num_panel_shares_(num_panel_shares),
        barrier_(barrier) {
    const std::int64_t shares = num_row_shares, blocks = (batch + most_rows - 1) / most_rows;
    num_blocks_ = (blocks + shares - 1) / shares * shares;  // as many for each
  }

  // Our rows of [first, count). Those below `boundary` have their terms at `low(row)`, the others at `high(row)`.
  template <class Low, class High>
  void take_rows(std::int64_t first, std::int64_t boundary, std::int64_t count, Low low, High high) {
    tiles_.clear();
    for (std::int64_t block = row_share_; block < num_blocks_; block += num_row_shares_) {
      const std::int64_t begin = std::max(block * batch_ / num_blocks_, first);
      const std::int64_t end = std::min((block + 1) * batch_ / num_blocks_, count);
      if (begin >= end) continue;
      const std::int64_t middle = std::clamp(boundary, begin, end);
      if (begin < middle) tiles_.push_back({begin, int(middle - begin), low(begin)});
      if (middle < end) tiles_.push_back({middle, int(end - middle), high(middle)});
    }
  }

  // The product of our rows and our panels; `finish(row, panel, sums)` gets each row's sums, one vector a group. The
  // terms of a row stand `stride` behind those of the row before. A panel stays in the cache for all rows.
  template <int groups, class Finish>
  void run(const Panels<T>& panels, std::int64_t stride, Finish finish) const {
    run_all<groups, groups, groups - 1>(panels, stride, Inputs<T>{}, finish);
  }

  // The same with the product of the input added, in which the last group goes into the last sum: `sums` says whether
  // that is a sum of its own.
  template <int groups, int sums, class Finish>
  void run(const Panels<T>& panels, std::int64_t stride, const Inputs<T>& inputs, Finish finish) const {
    run_all<groups, sums, groups - 1>(panels, stride, inputs, finish);
  }

  // Until the others have come as far: what one thread wrote the others may read.
  void meet() const { barrier_.wait(); }

 private:
  template <int groups, int sums, int last, class Finish>
  void run_all(const Panels<T>& panels, std::int64_t stride, const Inputs<T>& inputs, Finish finish) const {
    const std::int64_t count = panels.count();
    const std::int64_t end = count * (panel_share_ + 1) / num_panel_shares_;
    const Factors factors{panels, stride, inputs};
    for (std::int64_t p = count * panel_share_ / num_panel_shares_; p < end; ++p) {
      for (const Tile<T>& tile : tiles_) {
        run_tile<groups, sums, last>(tile, factors, p, finish, std::make_integer_sequence<int, kRows<sums>>{});
      }
    }
  }

  struct Factors {
    const Panels<T>& panels;
    std::int64_t stride;
    const Inputs<T>& inputs;
  };

  template <int groups, int sums, int last, class Finish, int... rows>
  static void run_tile(const Tile<T>& tile, const Factors& factors, std::int64_t panel, Finish& finish,
                       std::integer_sequence<int, rows...>) {
    (void)((tile.count == rows + 1 &&
            (run_rows<rows + 1, groups, sums, last>(tile, factors, panel, finish), true)) || ...);
  }

  template <int rows, int groups, int num_sums, int last, class Finish>
  static void run_rows(const Tile<T>& tile, const Factors& factors, std::int64_t panel, Finish& finish) {
    V<T> sums[rows][num_sums] = {};
    const auto& [panels, stride, inputs] = factors;
    if (inputs.rows) {
      multiply<groups, num_sums - 1>(inputs.rows + tile.row * inputs.panels.depth, inputs.panels.depth,
                                     inputs.panels.panel(panel), inputs.panels.depth, sums);
    }
    if (tile.terms) multiply<groups, last>(tile.terms, stride, panels.panel(panel), panels.depth, sums);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) finish(tile.row + i, panel, sums[i]);
  }

  const std::int64_t batch_;
  const int row_share_, num_row_shares_, panel_share_, num_panel_shares_;
  std::int64_t num_blocks_;
  Barrier& barrier_;
  std::vector<Tile<T>> tiles_;
};

// The units of one panel that exist, vector by vector: body(group, first unit, how many).
template <int groups, class T, class Body>
inline void each_unit(std::int64_t panel, std::int64_t units, Body body) {
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g) {
    const std::int64_t u = (panel * groups + g) * kLanes<T>;
    if (u < units) body(g, u, int(std::min<std::int64_t>(kLanes<T>, units - u)));
  }
}

}  // namespace recurra::ISA
