#include "svg.hpp"

#include "text.hpp"

#include <lockstep/report/markup.hpp>

#include <array>

namespace lockstep {
namespace {

constexpr int colors = 16;
constexpr std::array<const char*, colors> light = {
    "#1f66c1", "#d9600f", "#138a5e", "#8a4fb3", "#a8820a", "#0f8ea3", "#c2417e", "#5b6470",
    "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ab16d", "#86b82f", "#b5a912"};
constexpr std::array<const char*, colors> dark = {
    "#7db4ff", "#ff9a57", "#4fd1a0", "#c79bf2", "#e3c04f", "#5fd0e6", "#f58cbb", "#aab3bf",
    "#d8a4ff", "#b0a8ff", "#86b4f5", "#62c6dd", "#4fd1b0", "#7ddc86", "#b7e26a", "#e8e05a"};

constexpr const char* ink = "#1c2127";
constexpr const char* muted = "#5a636e";
constexpr const char* grid = "#e4e7eb";
constexpr const char* frame = "#98a1ac";
constexpr const char* ground = "#ffffff";

std::string color_class(int color) {
    return "c" + std::to_string(color);
}

const char* light_color(int color) {
    return light[static_cast<std::size_t>(color % colors)];
}

std::string attribute(std::string_view name, double value) {
    return " " + std::string(name) + "=\"" + coordinate(value) + "\"";
}

/// What replaces the attributes where the reader prefers dark, on screens.
std::string dark_style() {
    std::string style =
        "<style>@media screen and (prefers-color-scheme: dark){.ground{fill:#14181d}.ink{fill:#e8ebef}"
        ".muted{fill:#a3adb8}.grid{stroke:#2b323a}.frame{stroke:#6a7480}.reference{stroke:#8a94a0}";
    for (int i = 0; i < colors; ++i)
        style += ".line." + color_class(i) + "{stroke:" + dark[static_cast<std::size_t>(i)] + "}.fill." +
                 color_class(i) + "{fill:" + dark[static_cast<std::size_t>(i)] + "}";
    return style + "}.spot{pointer-events:all}</style>";
}

std::string title_element(std::string_view value) {
    return "<title>" + escape_markup(value) + "</title>";
}

/// Around 0, 0.
const char* marker_path(int color) {
    constexpr std::array paths = {
        "M-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",     // circle
        "M-3.6,-3.6h7.2v7.2h-7.2z",                // square
        "M0,-4.6l4.4,7.8h-8.8z",                   // triangle
        "M0,-5l5,5l-5,5l-5,-5z",                   // diamond
        "M0,4.6l4.4,-7.8h-8.8z",                   // triangle, upside down
        "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",  // cross
    };
    return paths[static_cast<std::size_t>(color) % paths.size()];
}

}  // namespace

std::string coordinate(double value) {
    std::string text = fixed(value, 2);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

SvgWriter::SvgWriter(double width, double height, std::string_view title) {
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + coordinate(width) + " " +
           coordinate(height) + "\"" + attribute("width", width) + attribute("height", height) +
           " role=\"img\" aria-label=\"" + escape_markup(title) +
           "\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">" + dark_style() +
           "<rect class=\"ground\" width=\"100%\" height=\"100%\" fill=\"" + ground + "\"/>\n";
}

void SvgWriter::text(double x, double y, std::string_view words, TextAnchor anchor, bool is_muted, int size) {
    constexpr std::array anchors = {"start", "middle", "end"};
    out_ += "<text class=\"" + std::string(is_muted ? "muted" : "ink") + "\"" + attribute("x", x) +
            attribute("y", y) + " font-size=\"" + std::to_string(size) + "\" text-anchor=\"" +
            anchors[static_cast<std::size_t>(anchor)] + "\" fill=\"" + (is_muted ? muted : ink) + "\">" +
            escape_markup(words) + "</text>\n";
}

void SvgWriter::upward_text(double x, double y, std::string_view words) {
    out_ += "<text class=\"ink\" transform=\"translate(" + coordinate(x) + "," + coordinate(y) +
            ") rotate(-90)\" font-size=\"13\" text-anchor=\"middle\" fill=\"" + ink + "\">" +
            escape_markup(words) + "</text>\n";
}

void SvgWriter::grid_line(double x1, double y1, double x2, double y2) {
    out_ += "<path class=\"grid\" d=\"M" + coordinate(x1) + "," + coordinate(y1) + "L" + coordinate(x2) +
            "," + coordinate(y2) + "\" stroke=\"" + grid + "\" fill=\"none\"/>\n";
}

void SvgWriter::axis_line(double x1, double y1, double x2, double y2) {
    out_ += "<path class=\"frame\" d=\"M" + coordinate(x1) + "," + coordinate(y1) + "L" + coordinate(x2) +
            "," + coordinate(y2) + "\" stroke=\"" + frame + "\" fill=\"none\"/>\n";
}

void SvgWriter::line(std::string_view path, int color, std::string_view dashes) {
    out_ += "<path class=\"line " + color_class(color) + "\" d=\"" + std::string(path) + "\" stroke=\"" +
            light_color(color) + "\" stroke-width=\"2\" stroke-linejoin=\"round\" fill=\"none\"";
    if (!dashes.empty()) out_ += " stroke-dasharray=\"" + std::string(dashes) + "\"";
    out_ += "/>\n";
}

void SvgWriter::reference_line(std::string_view path) {
    out_ += "<path class=\"reference\" d=\"" + std::string(path) + "\" stroke=\"#7b8591\" " +
            "stroke-dasharray=\"2 3\" fill=\"none\"/>\n";
}

void SvgWriter::band(std::string_view path, int color) {
    out_ += "<path class=\"fill " + color_class(color) + "\" d=\"" + std::string(path) + "\" fill=\"" +
            light_color(color) + "\" fill-opacity=\"0.16\"/>\n";
}

void SvgWriter::error_bar(double x, double low, double high, int color) {
    out_ += "<path class=\"line " + color_class(color) + "\" d=\"M" + coordinate(x) + "," + coordinate(low) +
            "V" + coordinate(high) + "M" + coordinate(x - 4) + "," + coordinate(low) + "h8M" +
            coordinate(x - 4) + "," + coordinate(high) + "h8\" stroke=\"" + light_color(color) +
            "\" stroke-width=\"1.2\" fill=\"none\"/>\n";
}

void SvgWriter::marker(double x, double y, int color, std::string_view value) {
    out_ += "<path class=\"fill " + color_class(color) + (value.empty() ? "" : " spot") +
            "\" transform=\"translate(" + coordinate(x) + "," + coordinate(y) + ")\" d=\"" +
            marker_path(color) + "\" fill=\"" + light_color(color) + "\"";
    out_ += value.empty() ? "/>\n" : ">" + title_element(value) + "</path>\n";
}

void SvgWriter::hover_spot(double x, double y, std::string_view value) {
    out_ += "<circle class=\"spot\"" + attribute("cx", x) + attribute("cy", y) + " r=\"5\" fill=\"none\">" +
            title_element(value) + "</circle>\n";
}

void SvgWriter::bar(double x, double y, double width, double height, int color, std::string_view value) {
    out_ += "<rect class=\"fill spot " + color_class(color) + "\"" + attribute("x", x) + attribute("y", y) +
            attribute("width", width) + attribute("height", height) + " fill=\"" + light_color(color) +
            "\">" + title_element(value) + "</rect>\n";
}

std::string SvgWriter::finish() {
    return std::move(out_) + "</svg>\n";
}

}  // namespace lockstep
