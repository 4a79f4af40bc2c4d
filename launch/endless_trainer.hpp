/// Training whose steps can be called one after the other for ever, as benchmarks do.
#pragma once

#include <lockstep/train/trainer.hpp>

namespace lockstep::launch {

class EndlessTrainer {
  public:
    EndlessTrainer(const TrainerOptions& options, const Dataset& data, const Communicator& communicator)
        : trainer_(options, data, communicator) {}

    void step() {
        trainer_.step(next_);
        next_ = (next_ + 1) % trainer_.steps_per_epoch();
    }
    Index gradients() { return static_cast<Index>(trainer_.network().parameters().size()); }

  private:
    Trainer<float> trainer_;
    Index next_ = 0;
};

/// The options, with other replicas and batch norm.
inline TrainerOptions with(TrainerOptions options, int replicas, const char* mode) {
    options.replicas = replicas;
    options.batch_norm = BatchNormMode::parse(mode);
    return options;
}

}  // namespace lockstep::launch
