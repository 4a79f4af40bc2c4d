#include <lockstep/train/trainer_options.hpp>

#include <lockstep/nn/model_parser.hpp>

#include <algorithm>

namespace lockstep {
namespace {

std::string yes_or_no(bool value) {
    return value ? "yes" : "no";
}

void add(Settings& all, const OptimizerOptions& options) {
    all.emplace_back("optimizer", options.rule ? options.rule->text() : to_string(options.kind));
    if (options.rule) {
        // Its text says it all.
    } else if (options.kind == OptimizerKind::sgd) {
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

TrainerOptions resolved(TrainerOptions options, const Dataset& data) {
    if (!options.input)
        options.input = data.precision() == InputPrecision::byte ? InputKind::unit : InputKind::raw;
    if (!options.loss) options.loss = default_loss(data.target());
    // A batch larger than the data set is the data set; the global batch must stay a number.
    options.batch_size = std::min(options.batch_size, data.size());
    return options;
}

Settings settings_of(const TrainerOptions& options, const std::string& data, int replicas,
                     std::size_t scalar_bytes) {
    Settings all = {
        {"model", canonical_model(options.model)},
        {"training data", data},
        {"input", options.input ? to_string(*options.input) : "by the data"},
        {"loss", options.loss ? options.loss->text() : "by the data"},
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
    if (options.clip_norm) all.emplace_back("clip norm", shortest_text(*options.clip_norm));
    add(all, options.optimizer);
    add(all, options.schedule);
    return all;
}

}  // namespace lockstep
