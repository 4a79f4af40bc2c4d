#include <lockstep/train/checkpoint.hpp>

#include "checked_values.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/simd/instruction_set.hpp>
#include <lockstep/train/model_file.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace lockstep {
namespace {

constexpr const char* settings_key = "lockstep.settings";
constexpr const char* epoch_key = "lockstep.epoch";
constexpr const char* step_key = "lockstep.step";  // within an epoch only, as its sums
constexpr const char* loss_key = "lockstep.loss_sum";
constexpr const char* score_keys[] = {"lockstep.scored_samples", "lockstep.score_sum_1",
                                      "lockstep.score_sum_2", "lockstep.score_sum_3"};
constexpr const char* version_key = "lockstep.version";
constexpr const char* instruction_set_key = "lockstep.instruction_set";
constexpr const char* optimizer_steps_key = "lockstep.optimizer_steps";

std::string optimizer_array(std::string_view name) {
    return std::string(optimizer_prefix) + std::string(name);
}

const std::string& metadata(const SafetensorsFile& file, const char* key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end())
        throw FileError(file.path().string() + ": is no checkpoint of a run: its metadata has no '" + key +
                        "'; its weights can still be loaded alone");
    return found->second;
}

Index count_of(const SafetensorsFile& file, const char* key) {
    const std::string& text = metadata(file, key);
    Index value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0)
        throw FileError(file.path().string() + ": is damaged: metadata '" + key + "' is '" + text +
                        "', not a count");
    return value;
}

double number_of(const SafetensorsFile& file, const char* key) {
    const std::string& text = metadata(file, key);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        throw FileError(file.path().string() + ": is damaged: metadata '" + key + "' is '" + text +
                        "', not a finite number");
    return value;
}

TrainingPosition position_of(const SafetensorsFile& file, Index steps_per_epoch) {
    TrainingPosition position{.epoch = count_of(file, epoch_key)};
    if (!file.metadata().contains(step_key)) return position;
    position.step = count_of(file, step_key);
    if (position.step > steps_per_epoch)
        throw FileError(file.path().string() + ": is damaged: metadata '" + step_key + "' is " +
                        std::to_string(position.step) + ", but an epoch has " +
                        std::to_string(steps_per_epoch) + " steps");
    position.loss = number_of(file, loss_key);
    position.score.samples = number_of(file, score_keys[0]);
    for (std::size_t i = 0; i < position.score.parts.size(); ++i)
        position.score.parts[i] = number_of(file, score_keys[i + 1]);
    return position;
}

void add_position(const TrainingPosition& position, SafetensorsWriter& writer) {
    writer.set_metadata(epoch_key, std::to_string(position.epoch));
    if (position.step == 0) return;
    writer.set_metadata(step_key, std::to_string(position.step));
    writer.set_metadata(loss_key, shortest_text(position.loss));
    writer.set_metadata(score_keys[0], shortest_text(position.score.samples));
    for (std::size_t i = 0; i < position.score.parts.size(); ++i)
        writer.set_metadata(score_keys[i + 1], shortest_text(position.score.parts[i]));
}

void add_origin(SafetensorsWriter& writer) {
    writer.set_metadata(version_key, LOCKSTEP_VERSION);
    writer.set_metadata(instruction_set_key, std::string(to_string(product_instruction_set())));
}

CheckpointOrigin origin_of(const SafetensorsFile& file) {
    const auto text = [&](const char* key) {
        const auto found = file.metadata().find(key);
        return found == file.metadata().end() ? std::string() : found->second;
    };
    return {.version = text(version_key), .instruction_set = text(instruction_set_key)};
}

void check_same_run(const SafetensorsFile& file, const Settings& now) {
    const std::string changes = changes_text(parse_settings(metadata(file, settings_key)), now);
    if (!changes.empty())
        throw FileError(file.path().string() + ": belongs to a run with other settings: " + changes +
                        ". Continue a run with what it began with, or begin a new one");
}

/// What the trainer's bits depend on, and then what the caller adds.
Settings joined(const Settings& settings, const Settings& more) {
    Settings all = settings;
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

template <class Scalar>
CheckpointOrigin load_on_this_rank(Trainer<Scalar>& trainer, const std::filesystem::path& path,
                                   const Settings& more) {
    const SafetensorsFile file = SafetensorsFile::read(path);
    check_same_run(file, joined(trainer.settings(), more));
    const TrainingPosition position = position_of(file, trainer.steps_per_epoch());
    const Index steps = count_of(file, optimizer_steps_key);
    // Into copies, as load_weights does: a file that fails half way must not leave half of it.
    std::vector<std::vector<Scalar>> loaded;
    for (const auto& state : std::as_const(trainer).optimizer().state()) {
        const Index length = static_cast<Index>(state.values.size());
        auto& values = loaded.emplace_back(state.values.size());
        read_checked(file, optimizer_array(state.name), std::span(&length, 1), std::span(values),
                     state.name == "exp_avg_sq" ? ValueRange::finite_and_not_negative : ValueRange::finite);
    }
    load_weights(file, trainer.network());
    for (std::size_t i = 0; i < loaded.size(); ++i)
        std::ranges::copy(loaded[i], trainer.optimizer().state()[i].values.begin());
    trainer.optimizer().set_step_count(steps);
    trainer.set_position(position);
    return origin_of(file);
}

}  // namespace

template <class Scalar>
void save_weights(const Network<Scalar>& network, const std::filesystem::path& path) {
    SafetensorsWriter writer;
    add_weights(network, writer);
    writer.write(path);
}

template <class Scalar>
void save_checkpoint(Trainer<Scalar>& trainer, const std::filesystem::path& path, const Settings& more) {
    const TrainingPosition position = trainer.position();
    SafetensorsWriter writer;
    add_weights(trainer.network(), writer);
    for (const auto& state : std::as_const(trainer).optimizer().state())
        writer.add(optimizer_array(state.name), {static_cast<Index>(state.values.size())}, state.values);
    add_signature(signature_of(trainer), writer);
    add_origin(writer);
    writer.set_metadata(settings_key, serialize(joined(trainer.settings(), more)));
    add_position(position, writer);
    writer.set_metadata(optimizer_steps_key, std::to_string(trainer.optimizer().step_count()));
    writer.write(path);
}

template <class Scalar>
CheckpointOrigin load_checkpoint(Trainer<Scalar>& trainer, const std::filesystem::path& path,
                                 const Settings& more) {
    CheckpointOrigin origin;
    together(trainer.network().setup().communicator, "loading a checkpoint",
             [&] { origin = load_on_this_rank(trainer, path, more); });
    return origin;
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                  \
    template LOCKSTEP_EXPORT void save_weights(const Network<Scalar>&, const std::filesystem::path&); \
    template LOCKSTEP_EXPORT void save_checkpoint(Trainer<Scalar>&, const std::filesystem::path&,     \
                                                  const Settings&);                                   \
    template LOCKSTEP_EXPORT CheckpointOrigin load_checkpoint(Trainer<Scalar>&,                       \
                                                              const std::filesystem::path&, const Settings&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
