// The kernels for one instruction set. Compiled once for each, into a namespace of its own.
#include "kernels.h"

#include <omp.h>

#include <deque>

#include "gru.h"
#include "lstm.h"
#include "rnn.h"
#include "softmax.h"

namespace recurra::ISA {
namespace {

// What a thread has to copy or to multiply at least to be worth waking: half of what two threads do faster than one.
constexpr std::int64_t kElementsWorthWaking = 4096, kProductsWorthWaking = 32768;

// Calls `body` with the cell's type as a null pointer.
template <class T, class Body>
auto with_cell(Cell cell, Body body) {
  switch (cell) {
    case Cell::rnn_tanh: return body(static_cast<Rnn<T, Tanh>*>(nullptr));
    case Cell::rnn_relu: return body(static_cast<Rnn<T, Relu>*>(nullptr));
    case Cell::rnn_sigmoid: return body(static_cast<Rnn<T, Sigmoid>*>(nullptr));
    case Cell::gru: return body(static_cast<Gru<T>*>(nullptr));
    case Cell::gru_reset_before: return body(static_cast<GruResetBefore<T>*>(nullptr));
    case Cell::lstm: break;
  }
  return body(static_cast<Lstm<T>*>(nullptr));
}

template <class Body>
auto with_cell(Cell cell, bool is_double, Body body) {
  return is_double ? with_cell<double>(cell, body) : with_cell<float>(cell, body);
}

Work work_of(const Scan& scan) {
  return with_cell(scan.cell, scan.is_double, [&](auto* type) {
    using Type = std::remove_pointer_t<decltype(type)>;
    Work work{scan.steps, scan.batch, scan.hidden, scan.backward ? Type::kBackwardRows : Type::kForwardRows, 0, 0, {}};
    for (const auto& panels : Type::panels(scan.hidden, scan.hidden, scan.backward)) {
      work.row_products += panels.size();
      work.panels[work.num_passes++] = panels.count();
    }
    if (!scan.backward && scan.inputs) {
      for (const auto& panels : Type::panels(scan.hidden, scan.inputs, false)) work.row_products += panels.size();
    }
    return work;
  });
}

// Calls body(rank, size) in a team of `size` threads. For more than one, OpenMP is asked for all `threads` of the
// caller, and those beyond `size` leave at once: asked for fewer, GNU's runtime ends the others and starts new ones for
// the next full team, which takes far longer. Where OpenMP gives fewer than `size`, as inside another team, one thread
// calls body(0, 1).
template <class Body>
void with_team(int size, int threads, Body body) {
  if (size == 1) return body(0, 1);
#pragma omp parallel num_threads(threads)
  {
    const int rank = omp_get_thread_num();
    if (omp_get_num_threads() < size) {
      if (rank == 0) body(0, 1);
    } else if (rank < size) {
      body(rank, size);
    }
  }
}

template <class Type>
void run_scan(const Scan& scan, const Plan& plan, int rank, Barrier& barrier) {
  const Type cell(scan);
  Worker<typename Type::Number> worker(plan, rank, barrier);
  for (std::int64_t s = 0; s < scan.steps; ++s) {
    const Step step = step_of(scan, scan.reverse != scan.backward ? scan.steps - 1 - s : s);
    if (!scan.backward) {
      cell.forward(step, worker);
      worker.meet();
      continue;
    }
    cell.backward(step, worker);
    worker.meet();
    if (step.linked < step.count) cell.backward_beginnings(step, worker);
  }
}

void run(const Scan& scan, int threads) {
  const Work work = work_of(scan);
  const Plan wanted = plan_threads(work, threads), alone = plan_threads(work, 1);
  std::deque<Barrier> barriers;  // one for each share of the rows
  for (int share = 0; share < wanted.row_shares; ++share) barriers.emplace_back(wanted.panel_shares);
  with_team(team_size(wanted), threads, [&](int rank, int size) {
    const FlushDenormals flush;
    Barrier nobody(1);
    const bool is_team = size == team_size(wanted);
    Barrier& barrier = is_team ? barriers[place_of(wanted, rank).row_share] : nobody;
    with_cell(scan.cell, scan.is_double, [&](auto* type) {
      run_scan<std::remove_pointer_t<decltype(type)>>(scan, is_team ? wanted : alone, rank, barrier);
    });
  });
}

std::int64_t packed_size(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, bool backward) {
  return with_cell(cell, is_double, [&](auto* type) {
    std::int64_t size = 0;
    for (const auto& panels : type->panels(hidden, columns, backward)) size += panels.size();
    return size;
  });
}

void pack(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, const void* weights, void* to,
          bool backward, int threads) {
  with_cell(cell, is_double, [&](auto* type) {
    using T = typename std::remove_pointer_t<decltype(type)>::Number;
    const auto all = type->panels(hidden, columns, backward);
    const int size = worth_waking(packed_size(cell, is_double, hidden, columns, backward), kElementsWorthWaking,
                                  all[0].count(), threads);
    with_team(size, threads, [&](int rank, int shares) {
      T* packed = static_cast<T*>(to);
      for (const auto& panels : all) {
        panels.pack(static_cast<const T*>(weights), columns, backward, rank, shares, packed);
        packed += panels.size();
      }
    });
  });
}

void transpose(bool is_double, std::int64_t rows, std::int64_t columns, const void* from, std::int64_t from_stride,
               void* to, std::int64_t to_stride, int threads) {
  const auto turn = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const int size = worth_waking(rows * columns, kElementsWorthWaking, (columns + kLanes<T> - 1) / kLanes<T>, threads);
    with_team(size, threads, [&](int rank, int shares) {
      transpose_share(static_cast<const T*>(from), rows, columns, from_stride, static_cast<T*>(to), to_stride, rank,
                      shares);
    });
  };
  is_double ? turn(static_cast<double*>(nullptr)) : turn(static_cast<float*>(nullptr));
}

void cross_entropy(const Logits& logits, int threads) {
  const auto read = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const std::int64_t blocks = (logits.rows + kSoftmaxRows - 1) / kSoftmaxRows;
    const int size = worth_waking(logits.rows * logits.types * logits.features, kProductsWorthWaking, blocks, threads);
    with_team(size, threads, [&](int rank, int shares) {
      const FlushDenormals flush;
      cross_entropy_share<T>(logits, rank, shares);
    });
  };
  logits.is_double ? read(static_cast<double*>(nullptr)) : read(static_cast<float*>(nullptr));
}

}  // namespace

Kernels kernels() {
  return {ISA_NAME, VECTOR_BYTES, packed_size, pack, work_of, run, transpose, cross_entropy};
}

}  // namespace recurra::ISA
