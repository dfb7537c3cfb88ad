"""Where stylized frames go: each output has a bounded queue and a thread of its own."""
