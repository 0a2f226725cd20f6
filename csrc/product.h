// The inner loop of everything: a few rows times a panel of weights, in registers, and what becomes of the sums there.
#pragma once

#include <utility>
#include <vector>

#include "pack.h"
#include "plan.h"
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
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
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
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
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
  // The thread `rank` of a plan. Threads of the same rows meet at the barrier; those of other rows need not wait, since
  // sequences have nothing to do with each other. A sum is the same whoever computes it, so results do not depend on
  // the plan.
  Worker(const Plan& plan, int rank, Barrier& barrier)
      : panel_share_(place_of(plan, rank).panel_share), num_panel_shares_(plan.panel_shares), barrier_(barrier) {
    for (std::int64_t b = place_of(plan, rank).row_share; b < plan.row_blocks; b += plan.row_shares) {
      const Range rows = row_block(plan, b);
      blocks_.push_back({rows.begin, rows.end});
    }
    tiles_.reserve(2 * blocks_.size());
  }

  // Our rows of [first, count). Those below `boundary` have their terms at `low(row)`, the others at `high(row)`.
  template <class Low, class High>
  void take_rows(std::int64_t first, std::int64_t boundary, std::int64_t count, Low low, High high) {
    tiles_.clear();
    for (const Block& block : blocks_) {
      const std::int64_t begin = std::max(block.begin, first), end = std::min(block.end, count);
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
    const Range ours = share_of(panels.count(), panel_share_, num_panel_shares_);
    const Factors factors{panels, stride, inputs};
    for (std::int64_t p = ours.begin; p < ours.end; ++p) {
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
    // In a loop: unrolled, this code leaves the first cache, and the compiler keeps sums of some products in memory.
#pragma GCC unroll 1
    for (int i = 0; i < rows; ++i) finish(tile.row + i, panel, sums[i]);
  }

  struct Block {  // of rows; a type of this instruction set, so that its vector is compiled for it alone
    std::int64_t begin, end;
  };

  const int panel_share_, num_panel_shares_;
  Barrier& barrier_;
  std::vector<Block> blocks_;
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
