// The kernels for one instruction set. Compiled once for each, into a namespace of its own.
#include "kernels.h"

#include <omp.h>

#include "gru.h"
#include "lstm.h"
#include "rnn.h"
#include "softmax.h"

namespace recurra::ISA {
namespace {

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

// How the threads share the work of a scan: by rows, where nobody waits, or by panels, where all meet after each step.
struct Plan {
  int row_shares, panel_shares;

  int team() const { return row_shares * panel_shares; }

  Plan(const Scan& scan, int threads) : row_shares(1), panel_shares(1) {
    const double products = double(scan.batch) * scan.hidden * scan.hidden;  // of one gate at one step
    if (scan.batch >= kRowsWorthAThread * threads) {
      row_shares = threads;
    } else if (products >= kProductsWorthMeeting) {
      panel_shares = threads;
    }
  }

  static constexpr std::int64_t kRowsWorthAThread = 4;
  static constexpr double kProductsWorthMeeting = 16384;
};

template <class Type>
void run_scan(const Scan& scan, const Plan& plan, int rank, Barrier& barrier) {
  const Type cell(scan);
  Worker<typename Type::Number> worker(scan.batch, scan.backward ? Type::kBackwardRows : Type::kForwardRows,
                                       rank % plan.row_shares, plan.row_shares, rank % plan.panel_shares,
                                       plan.panel_shares, barrier);
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

void run_share(const Scan& scan, const Plan& plan, int rank, Barrier& barrier) {
  const FlushDenormals flush;
  with_cell(scan.cell, scan.is_double, [&](auto* type) {
    run_scan<std::remove_pointer_t<decltype(type)>>(scan, plan, rank, barrier);
  });
}

void run(const Scan& scan, int threads) {
  const Plan wanted(scan, threads), alone(scan, 1);
  Barrier barrier(wanted.panel_shares), nobody(1);
  if (wanted.team() == 1) return run_share(scan, alone, 0, nobody);
#pragma omp parallel num_threads(wanted.team())
  {
    const int rank = omp_get_thread_num();
    if (omp_get_num_threads() == wanted.team()) {
      run_share(scan, wanted, rank, barrier);
    } else if (rank == 0) {  // OpenMP may give fewer than asked for, as inside another team
      run_share(scan, alone, 0, nobody);
    }
  }
}

std::int64_t packed_size(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, bool backward) {
  return with_cell(cell, is_double, [&](auto* type) {
    std::int64_t size = 0;
    for (const auto& panels : type->panels(hidden, columns, backward, nullptr)) size += panels.size();
    return size;
  });
}

void pack(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, const void* weights, void* to,
          bool backward, int threads) {
  with_cell(cell, is_double, [&](auto* type) {
    using T = typename std::remove_pointer_t<decltype(type)>::Number;
#pragma omp parallel num_threads(threads)
    for (const auto& panels : type->panels(hidden, columns, backward, to)) {
      panels.pack(static_cast<const T*>(weights), columns, backward, omp_get_thread_num(), omp_get_num_threads());
    }
  });
}

void transpose(bool is_double, std::int64_t rows, std::int64_t columns, const void* from, std::int64_t from_stride,
               void* to, std::int64_t to_stride, int threads) {
#pragma omp parallel num_threads(threads)
  {
    const int rank = omp_get_thread_num(), size = omp_get_num_threads();
    const auto turn = [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      transpose_share(static_cast<const T*>(from), rows, columns, from_stride, static_cast<T*>(to), to_stride, rank,
                      size);
    };
    is_double ? turn(static_cast<double*>(nullptr)) : turn(static_cast<float*>(nullptr));
  }
}

void cross_entropy(const Logits& logits, int threads) {
#pragma omp parallel num_threads(threads)
  {
    const FlushDenormals flush;
    const int rank = omp_get_thread_num(), size = omp_get_num_threads();
    logits.is_double ? cross_entropy_share<double>(logits, rank, size)
                     : cross_entropy_share<float>(logits, rank, size);
  }
}

}  // namespace

Kernels kernels() { return {ISA_NAME, VECTOR_BYTES, packed_size, pack, run, transpose, cross_entropy}; }

}  // namespace recurra::ISA
