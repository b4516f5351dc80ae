// Gopher once more, as plainly as it can be said: numbers one by one, in double, on a list that remembers how
// each was computed. It shares no code with the library; a model trained by both must learn alike.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace reference {

/// What was computed, in order: each number has at most two inputs, and its derivatives by them.
struct Record {
  struct Entry {
    double value, gradient;
    std::size_t a, b;
    double by_a, by_b;
  };
  std::vector<Entry> entries;

  std::size_t add(double value, std::size_t a = 0, double by_a = 0, std::size_t b = 0, double by_b = 0) {
    entries.push_back({value, 0, a, b, by_a, by_b});
    return entries.size() - 1;
  }
  void run_backward() {
    entries.back().gradient = 1;
    for (std::size_t i = entries.size(); i-- > 0;) {
      const Entry e = entries[i];
      entries[e.a].gradient += e.by_a * e.gradient;
      entries[e.b].gradient += e.by_b * e.gradient;
    }
  }
};
inline Record record;

struct Number {
  std::size_t at = 0;

  Number() = default;
  Number(double value) : at{record.add(value)} {}
  Number(double value, Number a, double by_a) : at{record.add(value, a.at, by_a)} {}
  Number(double value, Number a, double by_a, Number b, double by_b)
      : at{record.add(value, a.at, by_a, b.at, by_b)} {}
  double value() const { return record.entries[at].value; }

  friend Number operator+(Number a, Number b) { return {a.value() + b.value(), a, 1, b, 1}; }
  friend Number operator-(Number a, Number b) { return {a.value() - b.value(), a, 1, b, -1}; }
  friend Number operator*(Number a, Number b) { return {a.value() * b.value(), a, b.value(), b, a.value()}; }
  friend Number operator/(Number a, Number b) {
    const double quotient = a.value() / b.value();
    return {quotient, a, 1 / b.value(), b, -quotient / b.value()};
  }
};
inline Number exponential(Number a) { return {std::exp(a.value()), a, std::exp(a.value())}; }
inline Number logarithm(Number a) { return {std::log(a.value()), a, 1 / a.value()}; }
inline Number root(Number a) { return {std::sqrt(a.value()), a, 0.5 / std::sqrt(a.value())}; }
inline Number hyperbolic_tangent(Number a) {
  const double t = std::tanh(a.value());
  return {t, a, 1 - t * t};
}

using Row = std::vector<Number>;

struct Size {
  std::size_t layers, width, heads, head_width, hidden, vocabulary;
  std::size_t inner() const { return heads * head_width; }
};

/// The model's parameters in the order of its checkpoints.
class Gopher {
 public:
  Gopher(const Size& size, std::span<const Number> parameters) : size_{size}, parameters_{parameters} {}

  /// The sum of -log p(target) over one sequence.
  Number loss(std::span<const int> tokens, std::span<const int> targets) {
    next_ = 0;
    const auto table = take(size_.vocabulary * size_.width);
    std::vector<Row> x;
    for (const int token : tokens) {
      const auto row = table.subspan(static_cast<std::size_t>(token) * size_.width, size_.width);
      x.emplace_back(row.begin(), row.end());
    }
    for (std::size_t layer = 0; layer < size_.layers; ++layer) x = block(x);
    const auto gain = take(size_.width), bias = take(size_.vocabulary);
    Number sum = 0.0;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const Row h = normalised(x[t], gain);
      Row scores;
      for (std::size_t word = 0; word < size_.vocabulary; ++word)
        scores.push_back(dot(h, table.subspan(word * size_.width, size_.width)) + bias[word]);
      Number total = 0.0;
      for (const Number score : scores) total = total + exponential(score);
      sum = sum + logarithm(total) - scores[static_cast<std::size_t>(targets[t])];
    }
    return sum;
  }

 private:
  using Part = std::span<const Number>;

  Part take(std::size_t count) {
    next_ += count;
    return parameters_.subspan(next_ - count, count);
  }

  static Number dot(Part a, Part b) {
    Number sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum = sum + a[i] * b[i];
    return sum;
  }

  static Row normalised(const Row& x, Part gain) {
    const Number scale = root(dot(x, x) / static_cast<double>(x.size()) + 1e-5);
    Row y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(gain[i] * x[i] / scale);
    return y;
  }

  /// x times a matrix of x.size() rows.
  static Row product(const Row& x, Part weight) {
    const std::size_t columns = weight.size() / x.size();
    Row y(columns, Number{0.0});
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < columns; ++j) y[j] = y[j] + x[i] * weight[i * columns + j];
    return y;
  }
  static Row sum(const Row& a, Part b) {
    Row y;
    for (std::size_t i = 0; i < a.size(); ++i) y.push_back(a[i] + b[i]);
    return y;
  }

  static Number gelu(Number x) {
    const Number inner = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * (x * x * x));
    return 0.5 * (x * (1.0 + hyperbolic_tangent(inner)));
  }

  std::vector<Row> block(const std::vector<Row>& x) {
    const auto attention_gain = take(size_.width), mlp_gain = take(size_.width);
    std::vector<Row> in, h = x;
    for (const Row& row : x) in.push_back(normalised(row, attention_gain));
    const std::vector<Row> attended = attention(in);
    const auto up = take(size_.width * size_.hidden), up_bias = take(size_.hidden);
    const auto down = take(size_.hidden * size_.width), down_bias = take(size_.width);
    for (std::size_t t = 0; t < x.size(); ++t) {
      h[t] = sum(x[t], attended[t]);
      Row hidden = sum(product(normalised(h[t], mlp_gain), up), up_bias);
      for (Number& value : hidden) value = gelu(value);
      h[t] = sum(h[t], sum(product(hidden, down), down_bias));
    }
    return h;
  }

  /// Transformer-XL: score of key j for query i is ((q_i + u) k_j + (q_i + v) W r_{i-j}) / sqrt(head width).
  std::vector<Row> attention(const std::vector<Row>& x) {
    const std::size_t width = size_.width, inner = size_.inner(), d = size_.head_width;
    const auto query = take(width * inner), key = take(width * inner), value = take(width * inner);
    const auto position = take(width * inner), u = take(inner), v = take(inner);
    const auto output = take(inner * width), output_bias = take(width);
    std::vector<Row> q, k, values, r, y;
    for (std::size_t t = 0; t < x.size(); ++t) {
      q.push_back(product(x[t], query));
      k.push_back(product(x[t], key));
      values.push_back(product(x[t], value));
      r.push_back(product(encoding(t), position));
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      Row joined;
      for (std::size_t head = 0; head < size_.heads; ++head) {
        const auto of = [&](Part all) { return all.subspan(head * d, d); };
        Row weights;
        Number total = 0.0;
        for (std::size_t j = 0; j <= i; ++j) {
          const Number score = dot(sum(Row(of(q[i]).begin(), of(q[i]).end()), of(u)), of(k[j])) +
                               dot(sum(Row(of(q[i]).begin(), of(q[i]).end()), of(v)), of(r[i - j]));
          weights.push_back(exponential(score / std::sqrt(static_cast<double>(d))));
          total = total + weights.back();
        }
        for (std::size_t c = head * d; c < (head + 1) * d; ++c) {
          Number mean = 0.0;
          for (std::size_t j = 0; j <= i; ++j) mean = mean + weights[j] / total * values[j][c];
          joined.push_back(mean);
        }
      }
      y.push_back(sum(product(joined, output), output_bias));
    }
    return y;
  }

  Row encoding(std::size_t distance) const {
    const std::size_t half = size_.width / 2;
    Row row(size_.width, Number{0.0});
    for (std::size_t m = 0; m < half; ++m) {
      const double angle = static_cast<double>(distance) /
                           std::pow(10000.0, 2 * static_cast<double>(m) / static_cast<double>(size_.width));
      row[m] = std::sin(angle);
      row[half + m] = std::cos(angle);
    }
    return row;
  }

  Size size_;
  Part parameters_;
  std::size_t next_ = 0;
};

/// The mean loss of sequences, and its gradient by the parameters.
inline double loss_and_gradient(const Size& size, std::span<const double> parameters,
                                const std::vector<std::vector<int>>& tokens,
                                const std::vector<std::vector<int>>& targets, std::vector<double>& gradient) {
  record.entries.clear();
  record.add(0);  // the input of what has none
  std::vector<Number> numbers;
  for (const double p : parameters) numbers.push_back(Number{p});
  Gopher model{size, numbers};
  Number sum = 0.0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    sum = sum + model.loss(tokens[i], targets[i]);
    count += tokens[i].size();
  }
  const Number mean = sum / static_cast<double>(count);
  record.run_backward();
  gradient.clear();
  for (const Number n : numbers) gradient.push_back(record.entries[n.at].gradient);
  return mean.value();
}

/// AdamW after the gradient is clipped to a norm of 1.
struct AdamW {
  double beta1, beta2, epsilon, weight_decay;
  std::vector<double> m = {}, v = {};
  int steps = 0;

  void step(std::vector<double>& parameters, const std::vector<double>& gradient, double rate) {
    m.resize(parameters.size());
    v.resize(parameters.size());
    ++steps;
    double squares = 0;
    for (const double g : gradient) squares += g * g;
    const double clip = std::min(1.0, 1 / std::sqrt(squares));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const double g = clip * gradient[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const double mean = m[i] / (1 - std::pow(beta1, steps));
      const double variance = v[i] / (1 - std::pow(beta2, steps));
      parameters[i] -= rate * (mean / (std::sqrt(variance) + epsilon) + weight_decay * parameters[i]);
    }
  }
};

}  // namespace reference
