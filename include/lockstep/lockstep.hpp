/// Everything that Lockstep offers to C++ programs.
///
/// A program that wants the batch norm layer alone includes <lockstep/norm/sync_batch_norm.hpp> and links
/// lockstep::norm, which needs MPI and nothing else.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/replica_sum.hpp>
#include <lockstep/comm/session.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/data/augmentation.hpp>
#include <lockstep/data/cifar.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/idx.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/data/sampler.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/dropout.hpp>
#include <lockstep/nn/flatten.hpp>
#include <lockstep/nn/gradient_store.hpp>
#include <lockstep/nn/layer.hpp>
#include <lockstep/nn/layer_factory.hpp>
#include <lockstep/nn/linear.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/nn/model_parser.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/nn/parameters.hpp>
#include <lockstep/nn/sequence.hpp>
#include <lockstep/nn/tensor.hpp>
#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>
#include <lockstep/train/batch_norm_mode.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/gradient_reducer.hpp>
#include <lockstep/train/metrics.hpp>
#include <lockstep/train/optimizer.hpp>
#include <lockstep/train/safetensors.hpp>
#include <lockstep/train/schedule.hpp>
#include <lockstep/train/step_summary.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>
