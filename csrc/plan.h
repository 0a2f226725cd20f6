// How threads share the steps of a scan: numbers in, numbers out, no clock and no instruction set.
//
// No function is inline: compiled for several instruction sets, one of them could run on a processor that lacks it.
#pragma once

#include <cstdint>

namespace recurra {

struct Range {
  std::int64_t begin, end;  // end excluded
};

// One of `shares` consecutive shares of `count` things, whose sizes differ by one at most.
Range share_of(std::int64_t count, std::int64_t share, std::int64_t shares);

// What a scan offers to share. A step goes over the panels of weights in one pass or, where a second product needs all
// of the first, in two with a meeting between them.
struct Work {
  static constexpr int kMostPasses = 2;

  std::int64_t steps, batch, hidden;
  std::int64_t tile_rows;     // most rows that are multiplied at once
  std::int64_t row_products;  // multiplications for a row of a step
  int num_passes;
  std::int64_t panels[kMostPasses];  // of each pass
};

// Each thread takes one share of the rows times one share of the panels, in every pass of every step.
struct Plan {
  int row_shares, panel_shares;
  std::int64_t batch, row_blocks;
};

// Where a thread stands in a plan.
struct Place {
  int row_share, panel_share;
};

// The plan whose busiest thread has least to do, with the fewest threads that reach it, `threads` at most. Every thread
// has a row, a panel of each pass, and enough multiplications to be worth waking.
Plan plan_threads(const Work& work, int threads);

// The plan with given shares.
Plan make_plan(std::int64_t batch, std::int64_t tile_rows, int row_shares, int panel_shares);

int team_size(const Plan& plan);

// Threads with the same rows are neighbors, since they meet.
Place place_of(const Plan& plan, int rank);

// The rows of a block. A share is every `row_shares`-th block: sequences fall by length, and the last of consecutive
// shares would have nothing left to do in the last steps.
Range row_block(const Plan& plan, std::int64_t block);

// How many of `threads` to wake for `total` units of work in independent pieces, so that each has `least` units and a
// piece; 1 at least.
int worth_waking(std::int64_t total, std::int64_t least, std::int64_t pieces, int threads);

}  // namespace recurra
