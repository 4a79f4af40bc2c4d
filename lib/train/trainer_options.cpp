#include <lockstep/base/hash.hpp>
#include <lockstep/nn/model_parser.hpp>
#include <lockstep/train/trainer_options.hpp>

namespace lockstep {
namespace {

std::string yes_or_no(bool value) {
    return value ? "yes" : "no";
}

void add(Settings& all, const OptimizerOptions& options) {
    all.emplace_back("optimizer", to_string(options.kind));
    if (options.kind == OptimizerKind::sgd) {
        all.emplace_back("momentum", shortest_text(options.momentum));
        all.emplace_back("nesterov", yes_or_no(options.nesterov));
    } else {
        all.emplace_back("beta1", shortest_text(options.beta1));
        all.emplace_back("beta2", shortest_text(options.beta2));
        all.emplace_back("optimizer epsilon", shortest_text(options.epsilon));
    }
    all.emplace_back("weight decay", shortest_text(options.weight_decay));
    all.emplace_back("what decays", to_string(options.decay));
}

void add(Settings& all, const ScheduleOptions& options) {
    all.emplace_back("learning rate", shortest_text(options.learning_rate));
    all.emplace_back("schedule", to_string(options.kind));
    all.emplace_back("warm-up epochs", shortest_text(options.warmup_epochs));
    all.emplace_back("warm-up start factor", shortest_text(options.warmup_start_factor));
    if (options.kind == ScheduleKind::step) {
        std::string epochs;
        if (options.step_epochs)
            for (const double epoch : *options.step_epochs) epochs += shortest_text(epoch) + " ";
        all.emplace_back("step epochs", options.step_epochs ? epochs : "default");
        all.emplace_back("step factor", shortest_text(options.step_factor));
    }
    // A constant rate does not ask how long training goes on; the other schedules do.
    if (options.kind != ScheduleKind::constant) all.emplace_back("epochs", std::to_string(options.epochs));
}

}  // namespace

std::string describe(const Dataset& data) {
    return std::to_string(data.size()) + " samples of " + data.shape.to_string() + " in " +
           std::to_string(data.classes) + " classes, hash " + to_hex16(data.hash());
}

Settings settings_of(const TrainerOptions& options, const std::string& data, int replicas,
                     std::size_t scalar_bytes) {
    Settings all = {
        {"model", canonical_model(options.model)},
        {"training data", data},
        {"input", to_string(options.input)},
        {"augmentation crop", std::to_string(options.augmentation.crop_padding)},
        {"augmentation flip", yes_or_no(options.augmentation.horizontal_flip)},
        {"batch norm statistics", options.batch_norm.to_string()},
        {"batch norm momentum", running_momentum_to_string(options.running_momentum)},
        {"batch norm epsilon", shortest_text(options.epsilon)},
        {"precise batches", std::to_string(options.precise_batches)},
        {"replicas", std::to_string(options.replicas.value_or(replicas))},
        {"batch size", std::to_string(options.batch_size)},
        {"seed", std::to_string(options.seed)},
        {"shuffle", yes_or_no(options.shuffle)},
        {"reduction", options.reduction == Reduction::fast ? "fast" : "reproducible"},
        {"type", scalar_bytes == sizeof(float) ? "float" : "double"},
    };
    add(all, options.optimizer);
    add(all, options.schedule);
    return all;
}

}  // namespace lockstep
