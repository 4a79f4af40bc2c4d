#include "batch_norm_text.hpp"

#include <lockstep/base/settings.hpp>

#include <cmath>

namespace lockstep {

BatchNormSettings read_batch_norm_settings(const LayerArguments& layer) {
    BatchNormSettings settings;
    layer.settings(0, {{"epsilon",
                        [&](std::size_t i) {
                            settings.epsilon = layer.number(i);
                            if (!(*settings.epsilon > 0) || std::isinf(*settings.epsilon))
                                layer.fail("epsilon must be a positive number, not " + layer.text(i));
                        }},
                       {"momentum",
                        [&](std::size_t i) {
                            settings.cumulative = layer.text(i) == "cumulative";
                            if (settings.cumulative) return;
                            settings.momentum = layer.number(i);
                            if (!(*settings.momentum >= 0 && *settings.momentum <= 1))
                                layer.fail("momentum must lie between 0 and 1, or be cumulative; it is " +
                                           layer.text(i));
                        }},
                       {"affine", [&](std::size_t i) { settings.affine = layer.yes_or_no(i); }}});
    return settings;
}

std::vector<std::string> batch_norm_arguments(const BatchNormSettings& settings) {
    std::vector<std::string> words;
    const auto say = [&words](const char* word, const std::string& value) {
        words.insert(words.end(), {word, value});
    };
    if (settings.epsilon) say("epsilon", shortest_text(*settings.epsilon));
    if (settings.cumulative)
        say("momentum", "cumulative");
    else if (settings.momentum)
        say("momentum", shortest_text(*settings.momentum));
    if (!settings.affine) say("affine", "false");
    return words;
}

BatchNormOptions batch_norm_options(const BatchNormSettings& settings, const BatchNormSetup& setup) {
    BatchNormOptions options;
    options.epsilon = settings.epsilon.value_or(setup.epsilon);
    options.momentum = settings.momentum ? settings.momentum : setup.momentum;
    if (settings.cumulative) options.momentum = std::nullopt;
    options.affine = settings.affine;
    return options;
}

}  // namespace lockstep
