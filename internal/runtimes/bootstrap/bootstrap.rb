# frozen_string_literal: true

# Brume's runtime for Ruby functions: it loads the handler and answers invocations from the Lambda Runtime API.
#
# It runs on Ruby 3.0 and later, in the function's sandbox, and answers as Lambda's own runtime does:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-ruby.html
#
# What the function writes to stdout and stderr is cut into log events at each LF. Inside of what one call of puts, or one
# record of a Logger, writes, line breaks are written as CR, so that it stays one event.
#
# The names that functions can meet are those of Lambda's runtime: LambdaContext, LambdaHandler in the message of a handler
# that is not there, AwsLambda::Marshaller for those who replace it, $_global_aws_request_id for formatters of logs.
require 'json'
require 'logger'
require 'socket'
require 'stringio'

$stdout.sync = true
$stderr.sync = true

module BrumeRuntime
  API = '/2018-06-01/runtime/'
  ERROR_JSON = 'application/vnd.aws.lambda.error+json'
  FILE = __FILE__

  # The errors whose class may leave the function; all others are the user's.
  NAMED_ERRORS = %w[ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError].freeze

  # The Runtime API, over one connection.
  class Connection
    def initialize(address)
      host, _, port = address.rpartition(':')
      @host = address
      @socket = TCPSocket.new(host.delete('[]'), port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      @received = String.new(encoding: Encoding::BINARY)
      @next = "GET #{API}invocation/next HTTP/1.1\r\nHost: #{address}\r\n\r\n".b
    end

    # wait says that this process is ready for a function, and returns the environment of the one that it gets.
    def wait
      @socket.write("[]\n")
      JSON.parse(receive.body)
    end

    # next asks for an invocation.
    def next
      @socket.write(@next)
      invocation
    end

    # answer sends an answer and asks for the next invocation behind it: one write, and one wake-up for both answers.
    # Whether the answer was accepted changes nothing: if it was too large, the caller has been told already.
    def answer(request_id, kind, body, type, error_type = nil)
      post("invocation/#{request_id}/#{kind}", body, type, error_type, @next)
      receive
      invocation
    end

    # last sends an answer after which the process ends.
    def last(path, body, type, error_type)
      post(path, body, type, error_type, '')
      receive
    end

    private

    def post(path, body, type, error_type, behind)
      body = body.b
      head = +"POST #{API}#{path} HTTP/1.1\r\nHost: #{@host}\r\nContent-Type: #{type}\r\nContent-Length: #{body.bytesize}\r\n"
      head << "Lambda-Runtime-Function-Error-Type: #{error_type}\r\n" if error_type
      @socket.write(head.b << "\r\n".b, body, behind)
    rescue SystemCallError
      exit!(1) # the platform is gone
    end

    def invocation
      answer = receive
      raise "the Runtime API answered #{answer.status} to invocation/next" if answer.status != 200

      answer
    end

    def receive
      fill until (ending = @received.index("\r\n\r\n"))
      lines = @received.slice!(0, ending + 4).split("\r\n")
      status = lines.shift.split(' ', 3)[1].to_i
      headers = {}
      lines.each do |line|
        name, _, value = line.partition(':')
        headers[name.downcase] = value.strip.force_encoding(Encoding::UTF_8).scrub
      end
      length = headers['content-length'].to_i
      fill while @received.bytesize < length
      Answer.new(status, headers, @received.slice!(0, length).force_encoding(Encoding::UTF_8))
    end

    def fill
      @received << @socket.readpartial(1 << 20)
    rescue SystemCallError, EOFError
      exit!(1) # the platform is gone
    end
  end

  # An Answer of the Runtime API. Headers are found by their names in any case.
  Answer = Struct.new(:status, :headers, :body) do
    def [](name)
      headers[name.downcase]
    end
  end

  # Where log records go.
  module Log
    @json = false

    class << self
      attr_accessor :json

      # record writes one log event.
      def record(text)
        STDOUT.write(text.chomp.tr("\n", "\r") << "\n")
      end

      # error writes what has ended an invocation, or the start.
      def error(message, error)
        if json
          record(JSON.generate({
            timestamp: Time.now.utc.strftime('%Y-%m-%dT%H:%M:%S.%LZ'), level: 'ERROR', message: message,
            requestId: $_global_aws_request_id
          }.compact.merge(error)))
        else
          record(message)
          record(JSON.pretty_generate(error))
        end
      end

      def utf8(value)
        value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace, replace: "\u{fffd}").scrub("\u{fffd}")
      end
    end

    # A Device stands for stdout and stderr in a Logger.
    class Device < Logger::LogDevice
      def initialize; end # rubocop:disable Lint/MissingSuper: there is no file

      def write(text)
        Log.record(text)
      end

      def close; end

      def reopen(*) = self
    end

    # https://docs.aws.amazon.com/lambda/latest/dg/ruby-logging.html
    class TextFormatter < Logger::Formatter
      def call(severity, time, progname, message)
        "#{severity[0]}, [#{format_datetime(time)} ##{Process.pid}] #{severity.rjust(5)} #{$_global_aws_request_id} -- " \
          "#{progname}: #{Log.utf8(msg2str(message))}\n"
      end
    end

    # A JSONFormatter makes each record an object.
    class JSONFormatter < Logger::Formatter
      def call(severity, time, progname, message)
        error = message.is_a?(Exception) ? message : nil
        record = {
          timestamp: time.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'), level: severity,
          message: Log.utf8(error ? error.message : msg2str(message)), requestId: $_global_aws_request_id
        }
        record[:logger] = Log.utf8(progname) unless progname.to_s.empty?
        if error
          trace = Array(error.backtrace).map { |line| Log.utf8(line) }
          record.update(errorType: error.class.to_s, errorMessage: Log.utf8(error.message), stackTrace: trace)
          where = trace.first&.match(/\A(.+):(\d+):in [`'](.+)'\z/)
          record[:location] = where ? "#{where[1]}:#{where[3]}:#{where[2]}" : trace.first
        end
        JSON.generate(record.compact) << "\n"
      end
    end

    # Loggers that write to stdout or stderr write records that say which invocation they belong to.
    module Patch
      LEVELS = { 'TRACE' => 'DEBUG' }.freeze

      def initialize(logdev, *arguments, **options)
        ours = logdev.equal?($stdout) || logdev.equal?($stderr) || logdev.equal?(STDOUT) || logdev.equal?(STDERR)
        return super unless ours

        level = ENV['AWS_LAMBDA_LOG_LEVEL'].to_s.upcase
        options[:level] = LEVELS.fetch(level, level) if !options.key?(:level) && Log.json && !level.empty?
        super(nil, *arguments, **options)
        @default_formatter = Log.json ? JSONFormatter.new : TextFormatter.new
        @default_formatter.datetime_format = options[:datetime_format]
        @logdev = Device.new
      end
    end

    # puts writes one log event, whatever the number of its lines.
    module Puts
      private

      def puts(*values)
        Log.record(values.flatten.map { |v| Log.utf8(v) }.join("\n"))
      end
    end
  end

  # An Error is an exception as Lambda describes it: https://docs.aws.amazon.com/lambda/latest/dg/ruby-exceptions.html
  class Error
    attr_reader :description

    def initialize(exception, phase)
      @class = exception.class.to_s
      @type = "#{phase}<#{@class}>"
      trace = []
      Array(exception.backtrace_locations).first(100).each do |location|
        break if location.path == FILE

        trace << Log.utf8(location)
      end
      @description = { errorMessage: Log.utf8(exception.message), errorType: @type, stackTrace: trace }
    end

    # type is for the Runtime API.
    def type
      NAMED_ERRORS.include?(@class) ? @type : 'Function<UserException>'
    end
  end

  class << self
    def run
      connection = Connection.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
      if ENV['_BRUME_WAIT']
        ENV.replace(connection.wait)
        Gem.clear_paths if defined?(Gem) # what it knows was found before there was a function
      end
      prepare
      handler = load_handler(connection)
      invocation = connection.next
      loop do
        $_global_aws_request_id = invocation['lambda-runtime-aws-request-id']
        ENV['_X_AMZN_TRACE_ID'] = invocation['lambda-runtime-trace-id']
        answer, fatal = invoke(handler, invocation)
        if fatal
          kind, *rest = answer
          connection.last("invocation/#{$_global_aws_request_id}/#{kind}", *rest)
          exit(255)
        end
        invocation = connection.answer($_global_aws_request_id, *answer)
      end
    end

    private

    def prepare
      Log.json = ENV['AWS_LAMBDA_LOG_FORMAT'].to_s.casecmp?('JSON')
      root = ENV.fetch('LAMBDA_TASK_ROOT', '/var/task')
      $LOAD_PATH.unshift(root) unless $LOAD_PATH.first == root
      Logger.prepend(Log::Patch)
      Kernel.prepend(Log::Puts)
    end

    def load_handler(connection)
      handler = LambdaHandler.new(env_handler: ENV.fetch('_HANDLER', ''))
      require handler.handler_file_name
      handler
    rescue Exception => e # rubocop:disable Lint/RescueException: a LoadError, or anything that the code raises
      error = Error.new(e, 'Init')
      Log.error('Init error when loading handler', error.description)
      connection.last('init/error', JSON.generate(error.description), ERROR_JSON, error.type)
      exit(252)
    end

    # invoke returns what to tell the Runtime API: the kind of answer, its body, the content type, and the type of an error;
    # and whether the process must end, as it must after errors that say that the code is wrong.
    def invoke(handler, invocation)
      body, type = handler.call_handler(request: AwsLambda::Marshaller.marshall_request(invocation), context: LambdaContext.new(invocation))
      body = body.read if type == 'application/unknown'
      [['response', body, type || 'application/json'], false]
    rescue Exception => e # rubocop:disable Lint/RescueException: everything is the answer
      fatal = e.is_a?(NameError) || !e.is_a?(StandardError)
      error = Error.new(e, 'Function')
      Log.error(fatal ? 'Critical exception from handler' : 'Error raised from handler method', error.description)
      [['error', JSON.generate(error.description), ERROR_JSON, error.type], fatal]
    end
  end
end

# The context object: https://docs.aws.amazon.com/lambda/latest/dg/ruby-context.html
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
              :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms, :tenant_id

  def initialize(invocation)
    @aws_request_id = invocation['Lambda-Runtime-Aws-Request-Id']
    @invoked_function_arn = invocation['Lambda-Runtime-Invoked-Function-Arn']
    @deadline_ms = invocation['Lambda-Runtime-Deadline-Ms'].to_i
    @tenant_id = invocation['Lambda-Runtime-Aws-Tenant-Id']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @identity = object(invocation['Lambda-Runtime-Cognito-Identity'])
    @client_context = object(invocation['Lambda-Runtime-Client-Context'])
  end

  def get_remaining_time_in_millis # rubocop:disable Naming/AccessorMethodName: Lambda's name
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  private

  def object(text)
    JSON.parse(text) unless text.nil? || text.empty?
  end
end

# The LambdaHandler is the function: https://docs.aws.amazon.com/lambda/latest/dg/ruby-handler.html
class LambdaHandler
  attr_reader :handler_file_name, :handler_method_name

  def initialize(env_handler:)
    parts = env_handler.split('.')
    unless [2, 3].include?(parts.size)
      raise ArgumentError, "Invalid handler #{parts}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where " \
                           'FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                           'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a ' \
                           'class-level method.'
    end
    @handler_file_name = parts.first
    @handler_class = parts[1] if parts.size == 3
    @handler_method_name = parts.last
  end

  def call_handler(request:, context:)
    response = if @handler_class
                 Kernel.const_get(@handler_class).__send__(@handler_method_name, event: request, context: context)
               else
                 __send__(@handler_method_name, event: request, context: context)
               end
    AwsLambda::Marshaller.marshall_response(response)
  end
end

module AwsLambda
  # The Marshaller reads events and writes responses. A function may replace either.
  class Marshaller
    class << self
      def marshall_request(raw_request)
        return raw_request.body unless raw_request['Content-Type'] == 'application/json'

        JSON.parse(raw_request.body)
      end

      # A String is taken for JSON; an IO comes with a content type of its own.
      def marshall_response(method_response)
        case method_response
        when StringIO, IO
          [method_response, 'application/unknown']
        else
          method_response.to_json
        end
      end
    end
  end
end

BrumeRuntime.run
