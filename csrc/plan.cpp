#include "plan.h"

#include <algorithm>

namespace recurra {
namespace {

// Multiplications of a whole scan that pay for waking a thread, two to five microseconds.
constexpr std::int64_t kWaking = 131072;

// What a meeting costs, in multiplications of one gate of a step; and what part of a step goes by until the slowest of
// the threads arrives.
constexpr double kMeeting = 5000, kWaiting = 1. / 8;

// Below four rows a thread, fewer rows save no time: reading all weights takes it, not multiplying, as long as four and
// a half rows do. Fewer panels still save time, and those of a thread may stay in its own cache.
constexpr std::int64_t kFewestRows = 4;
constexpr double kReadingRows = 4.5;

std::int64_t divide_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// The fewest shares of which the largest is no larger than that of `shares` shares.
std::int64_t fewest_shares(std::int64_t count, std::int64_t shares) {
  return divide_up(count, divide_up(count, shares));
}

}  // namespace

Range share_of(std::int64_t count, std::int64_t share, std::int64_t shares) {
  return {count * share / shares, count * (share + 1) / shares};
}

int worth_waking(std::int64_t total, std::int64_t least, std::int64_t pieces, int threads) {
  return int(std::max<std::int64_t>(std::min({total / least, pieces, std::int64_t(threads)}), 1));
}

Plan make_plan(std::int64_t batch, std::int64_t tile_rows, int row_shares, int panel_shares) {
  const std::int64_t blocks = divide_up(divide_up(batch, tile_rows), row_shares) * row_shares;  // as many for each
  return {row_shares, panel_shares, batch, blocks};
}

Plan plan_threads(const Work& work, int threads) {
  const std::int64_t panels = *std::min_element(work.panels, work.panels + work.num_passes);
  const std::int64_t most =
      worth_waking(work.steps * work.batch * work.row_products, kWaking, work.batch * panels, threads);
  if (most == 1) return make_plan(work.batch, work.tile_rows, 1, 1);
  // A step of the busiest thread, in multiplications of one gate.
  const auto time_of = [&](std::int64_t row_shares, std::int64_t panel_shares) {
    double rows = double(divide_up(work.batch, row_shares));
    if (row_shares > 1 && work.batch < kFewestRows * row_shares) rows = std::max(rows, kReadingRows);
    const double part = double(divide_up(panels, panel_shares)) / double(panels);
    const double busy = rows * part * double(work.hidden) * double(work.hidden);
    return panel_shares == 1 ? busy : busy * (1 + kWaiting) + kMeeting;
  };
  std::int64_t best_rows = 1, best_panels = 1;
  double best_time = time_of(1, 1);
  for (std::int64_t panel_shares = 1; panel_shares <= std::min(most, panels); ++panel_shares) {
    if (fewest_shares(panels, panel_shares) != panel_shares) continue;
    const std::int64_t row_shares = fewest_shares(work.batch, most / panel_shares);
    const double time = time_of(row_shares, panel_shares);
    if (time > best_time || (time == best_time && row_shares * panel_shares >= best_rows * best_panels)) continue;
    best_time = time;
    best_rows = row_shares;
    best_panels = panel_shares;
  }
  return make_plan(work.batch, work.tile_rows, int(best_rows), int(best_panels));
}

int team_size(const Plan& plan) { return plan.row_shares * plan.panel_shares; }

Place place_of(const Plan& plan, int rank) { return {rank / plan.panel_shares, rank % plan.panel_shares}; }

Range row_block(const Plan& plan, std::int64_t block) { return share_of(plan.batch, block, plan.row_blocks); }

}  // namespace recurra
