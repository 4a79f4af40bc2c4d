/// Everything that a program needs which embeds the batch norm layer: the layer, its running averages and statistics
/// groups, precise statistics, communicators and what ends them, errors, threads.
///
/// Link lockstep::norm, which needs MPI and nothing else. With OpenMP include <lockstep/base/openmp_executor.hpp>, too.
#pragma once

#include <lockstep/base/error.hpp>
#include <lockstep/base/executor.hpp>
#include <lockstep/base/thread_pool.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/session.hpp>
#include <lockstep/norm/batch_norm_types.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/precise_statistics.hpp>
#include <lockstep/norm/running_averages.hpp>
#include <lockstep/norm/statistics_groups.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>
